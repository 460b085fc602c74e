package interop

import (
	"fmt"
	"testing"

	"github.com/apache/pulsar-client-go/pulsar"
)

func TestExclusiveIsExclusive(t *testing.T) {
	client, topic := newClient(t), newTopic()
	options := pulsar.ConsumerOptions{Topic: topic, SubscriptionName: "s"}
	consumer := newConsumer(t, client, options)
	if _, err := client.Subscribe(options); err == nil {
		t.Fatal("two exclusive consumers")
	}
	consumer.Close()
	newConsumer(t, client, options)
}

func TestFailoverHandsOverInOrder(t *testing.T) {
	client, topic := newClient(t), newTopic()
	options := pulsar.ConsumerOptions{
		Topic: topic, Type: pulsar.Failover, Name: "a", AckWithResponse: true,
	}
	first := newConsumer(t, client, options)
	options.Name = "b"
	second := newConsumer(t, client, options)
	sendNumbers(t, client, topic, 0, 10)
	for _, message := range receiveNumbers(t, first, 0, 10)[:4] {
		check(t, first.Ack(message))
	}
	nothingMore(t, second)
	first.Close()
	receiveNumbers(t, second, 4, 10)
	nothingMore(t, second)
}

func TestSharedSpreadsAndGivesOnWhatAClosedConsumerHeld(t *testing.T) {
	client, topic := newClient(t), newTopic()
	options := pulsar.ConsumerOptions{Topic: topic, Type: pulsar.Shared, ReceiverQueueSize: 10}
	first, second := newConsumer(t, client, options), newConsumer(t, client, options)
	sendNumbers(t, client, topic, 0, 20)
	held, own := map[string]bool{}, map[string]bool{}
	for range 10 {
		held[string(receive(t, first).Payload())] = true
	}
	for range 10 {
		message := receive(t, second)
		own[string(message.Payload())] = true
		check(t, second.Ack(message))
	}
	equal(t, len(held), 10, "messages of the first consumer")
	equal(t, len(own), 10, "messages of the second consumer")
	first.Close()
	for range 10 {
		message := receive(t, second)
		if !held[string(message.Payload())] {
			t.Fatalf("%q came twice", message.Payload())
		}
		delete(held, string(message.Payload()))
	}
	nothingMore(t, second)
}

func TestKeySharedKeepsAKeyAtOneConsumerInOrder(t *testing.T) {
	client, topic := newClient(t), newTopic()
	options := pulsar.ConsumerOptions{Topic: topic, Type: pulsar.KeyShared}
	consumers := []pulsar.Consumer{newConsumer(t, client, options), newConsumer(t, client, options)}
	producer := newProducer(t, client, pulsar.ProducerOptions{
		Topic: topic, BatcherBuilderType: pulsar.KeyBasedBatchBuilder,
	})
	const keys, each = 20, 5
	for n := range keys * each {
		send(t, producer, &pulsar.ProducerMessage{Key: fmt.Sprint("k", n%keys), Payload: number(n / keys)})
	}
	owner, got := map[string]int{}, map[string]string{}
	for range keys * each {
		var message pulsar.ConsumerMessage
		var at int
		select {
		case message = <-consumers[0].Chan():
			at = 0
		case message = <-consumers[1].Chan():
			at = 1
		}
		if before, known := owner[message.Key()]; known && before != at {
			t.Fatalf("key %s is at two consumers", message.Key())
		}
		owner[message.Key()] = at
		got[message.Key()] += string(message.Payload())
		check(t, message.Consumer.Ack(message))
	}
	count := [2]int{}
	for key, at := range owner {
		count[at]++
		equal(t, got[key], "01234", "messages of "+key)
	}
	if count[0] == 0 || count[1] == 0 {
		t.Fatalf("keys of the two consumers: %v", count)
	}
}

func TestKeySharedSticky(t *testing.T) {
	client, topic := newClient(t), newTopic()
	var consumers []pulsar.Consumer
	for _, ranges := range [][]int{{0, 32767}, {32768, 65535}} {
		policy, err := pulsar.NewKeySharedPolicySticky(ranges)
		check(t, err)
		consumers = append(consumers, newConsumer(t, client, pulsar.ConsumerOptions{
			Topic: topic, Type: pulsar.KeyShared, KeySharedPolicy: policy,
		}))
	}
	producer := newProducer(t, client, pulsar.ProducerOptions{Topic: topic, DisableBatching: true})
	for n := range 50 {
		send(t, producer, &pulsar.ProducerMessage{Key: fmt.Sprint(n), Payload: number(n)})
	}
	count := [2]int{}
	for range 50 {
		select {
		case <-consumers[0].Chan():
			count[0]++
		case <-consumers[1].Chan():
			count[1]++
		}
	}
	if count[0] == 0 || count[1] == 0 {
		t.Fatalf("messages of the two consumers: %v", count)
	}
}

func TestUnsubscribeForgetsThePosition(t *testing.T) {
	client, topic := newClient(t), newTopic()
	consumer := newConsumer(t, client, pulsar.ConsumerOptions{Topic: topic})
	sendNumbers(t, client, topic, 0, 3)
	receiveNumbers(t, consumer, 0, 1)
	check(t, consumer.Unsubscribe())
	consumer = newConsumer(t, client, pulsar.ConsumerOptions{Topic: topic})
	sendNumbers(t, client, topic, 3, 4)
	receiveNumbers(t, consumer, 3, 4)
}
