package interop

import (
	"fmt"
	"testing"
	"time"

	"github.com/apache/pulsar-client-go/pulsar"
)

func TestNackRedeliversWithACount(t *testing.T) {
	for name, kind := range map[string]pulsar.SubscriptionType{
		"exclusive": pulsar.Exclusive, "failover": pulsar.Failover, "shared": pulsar.Shared, "key_shared": pulsar.KeyShared,
	} {
		t.Run(name, func(t *testing.T) {
			client, topic := newClient(t), newTopic()
			consumer := newConsumer(t, client, pulsar.ConsumerOptions{
				Topic: topic, Type: kind, NackRedeliveryDelay: 50 * time.Millisecond,
			})
			sendNumbers(t, client, topic, 0, 1)
			for count := range uint32(4) {
				message := receive(t, consumer)
				// Only shared subscriptions count.
				if kind == pulsar.Shared || kind == pulsar.KeyShared {
					equal(t, message.RedeliveryCount(), count, "redelivery count")
				}
				if count < 3 {
					consumer.Nack(message)
				} else {
					check(t, consumer.Ack(message))
				}
			}
			nothingMore(t, consumer)
		})
	}
}

func TestAcksThatGotAResponseSurviveAReconnect(t *testing.T) {
	for name, kind := range map[string]pulsar.SubscriptionType{"exclusive": pulsar.Exclusive, "shared": pulsar.Shared} {
		t.Run(name, func(t *testing.T) {
			client, topic := newClient(t), newTopic()
			options := pulsar.ConsumerOptions{Topic: topic, Type: kind, AckWithResponse: true}
			consumer := newConsumer(t, client, options)
			sendNumbers(t, client, topic, 0, 10)
			for n, message := range receiveNumbers(t, consumer, 0, 10) {
				if n%2 == 0 {
					check(t, consumer.Ack(message))
				}
			}
			consumer.Close()
			consumer = newConsumer(t, client, options)
			for n := 1; n < 10; n += 2 {
				equal(t, string(receive(t, consumer).Payload()), string(number(n)), "not acknowledged")
			}
			nothingMore(t, consumer)
		})
	}
}

func TestCumulativeAckAndAckOfAList(t *testing.T) {
	client, topic := newClient(t), newTopic()
	options := pulsar.ConsumerOptions{Topic: topic, AckWithResponse: true}
	consumer := newConsumer(t, client, options)
	sendNumbers(t, client, topic, 0, 10)
	messages := receiveNumbers(t, consumer, 0, 10)
	check(t, consumer.AckCumulative(messages[3]))
	check(t, consumer.AckIDList([]pulsar.MessageID{messages[5].ID(), messages[6].ID()}))
	equal(t, backlog(t, topic), 4, "backlog")
	consumer.Close()
	consumer = newConsumer(t, client, options)
	for _, n := range []int{4, 7, 8, 9} {
		equal(t, string(receive(t, consumer).Payload()), string(number(n)), "not acknowledged")
	}
	nothingMore(t, consumer)
}

func TestAckOfMessagesInABatch(t *testing.T) {
	for name, kind := range map[string]pulsar.SubscriptionType{"exclusive": pulsar.Exclusive, "shared": pulsar.Shared} {
		t.Run(name, func(t *testing.T) {
			client, topic := newClient(t), newTopic()
			options := pulsar.ConsumerOptions{
				Topic: topic, Type: kind, AckWithResponse: true, EnableBatchIndexAcknowledgment: true,
			}
			consumer := newConsumer(t, client, options)
			sendBatch(t, client, topic, 10)
			for n, message := range receiveNumbers(t, consumer, 0, 10) {
				if n != 3 && n != 7 {
					check(t, consumer.Ack(message))
				}
			}
			consumer.Close()
			consumer = newConsumer(t, client, options)
			for _, n := range []int{3, 7} {
				message := receive(t, consumer)
				equal(t, string(message.Payload()), string(number(n)), "not acknowledged")
				check(t, consumer.Ack(message))
			}
			nothingMore(t, consumer)
			equal(t, backlog(t, topic), 0, "backlog")
		})
	}
}

func TestDeadLetterTopic(t *testing.T) {
	client, topic := newClient(t), newTopic()
	dead := topic + "-dead"
	graveyard := newConsumer(t, client, pulsar.ConsumerOptions{Topic: dead})
	consumer := newConsumer(t, client, pulsar.ConsumerOptions{
		Topic: topic, Type: pulsar.Shared, NackRedeliveryDelay: 20 * time.Millisecond,
		DLQ: &pulsar.DLQPolicy{MaxDeliveries: 3, DeadLetterTopic: dead, InitialSubscriptionName: "early"},
	})
	ids := sendNumbers(t, client, topic, 0, 1)
	for count := range uint32(3) {
		message := receive(t, consumer)
		equal(t, message.RedeliveryCount(), count, "redelivery count")
		consumer.Nack(message)
	}
	message := receive(t, graveyard)
	equal(t, string(message.Payload()), "0", "dead letter")
	equal(t, message.Properties()[pulsar.SysPropertyRealTopic], topic, "real topic")
	origin := message.Properties()[pulsar.PropertyOriginMessageID]
	equal(t, origin, ids[0].String(), "origin")
	nothingMore(t, consumer)
	waitFor(t, "acknowledged when dead", func() bool { return backlog(t, topic) == 0 })
	early := newConsumer(t, client, pulsar.ConsumerOptions{Topic: dead, SubscriptionName: "early"})
	equal(t, string(receive(t, early).Payload()), "0", "dead letter for the initial subscription")
}

func TestRetryTopicThenDeadLetterTopic(t *testing.T) {
	client, topic := newClient(t), newTopic()
	dead, retry := topic+"-dead", topic+"-retry"
	graveyard := newConsumer(t, client, pulsar.ConsumerOptions{Topic: dead})
	consumer := newConsumer(t, client, pulsar.ConsumerOptions{
		Topic: topic, Type: pulsar.Shared, RetryEnable: true,
		DLQ: &pulsar.DLQPolicy{MaxDeliveries: 2, DeadLetterTopic: dead, RetryLetterTopic: retry},
	})
	sendNumbers(t, client, topic, 0, 1)
	for attempt := range 3 {
		message := receive(t, consumer)
		if attempt > 0 {
			equal(t, message.Properties()[pulsar.SysPropertyReconsumeTimes], fmt.Sprint(attempt), "attempt")
		}
		consumer.ReconsumeLater(message, 50*time.Millisecond)
	}
	equal(t, string(receive(t, graveyard).Payload()), "0", "dead letter")
}
