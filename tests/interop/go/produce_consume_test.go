package interop

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/apache/pulsar-client-go/pulsar"
)

func TestPayloadsComeOutAsTheyWentIn(t *testing.T) {
	client := newClient(t)
	compressions := map[string]pulsar.CompressionType{
		"none": pulsar.NoCompression, "lz4": pulsar.LZ4, "zlib": pulsar.ZLib,
		"zstd": pulsar.ZSTD, "snappy": pulsar.SNAPPY,
	}
	for name, compression := range compressions {
		for _, single := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/single=%v", name, single), func(t *testing.T) {
				topic := newTopic()
				consumer := newConsumer(t, client, pulsar.ConsumerOptions{Topic: topic})
				producer := newProducer(t, client, pulsar.ProducerOptions{
					Topic: topic, CompressionType: compression, DisableBatching: single,
				})
				const count = 100
				failed := make(chan error, count)
				for n := range count {
					producer.SendAsync(context.Background(), &pulsar.ProducerMessage{
						Payload: payload(n), Key: fmt.Sprint("k", n), OrderingKey: fmt.Sprint("o", n),
						Properties: map[string]string{"n": fmt.Sprint(n)}, EventTime: time.UnixMilli(int64(1000 + n)),
					}, func(_ pulsar.MessageID, _ *pulsar.ProducerMessage, err error) { failed <- err })
				}
				check(t, producer.Flush())
				for n := range count {
					check(t, <-failed)
					message := receive(t, consumer)
					if !bytes.Equal(message.Payload(), payload(n)) {
						t.Fatalf("payload %d differs", n)
					}
					equal(t, message.Key(), fmt.Sprint("k", n), "key")
					equal(t, message.OrderingKey(), fmt.Sprint("o", n), "ordering key")
					equal(t, message.Properties()["n"], fmt.Sprint(n), "property")
					equal(t, message.EventTime().UnixMilli(), int64(1000+n), "event time")
					equal(t, message.ProducerName(), producer.Name(), "producer name")
					equal(t, message.Topic(), topic, "topic")
					check(t, consumer.Ack(message))
				}
				nothingMore(t, consumer)
			})
		}
	}
}

func payload(n int) []byte {
	return append(fmt.Append(nil, n, "-"), bytes.Repeat([]byte{byte(n)}, 7*n)...)
}

func TestReceiptsAreDenseAndEqualWhatIsDelivered(t *testing.T) {
	client, topic := newClient(t), newTopic()
	consumer := newConsumer(t, client, pulsar.ConsumerOptions{Topic: topic})
	ids := sendNumbers(t, client, topic, 0, 20)
	for n, message := range receiveNumbers(t, consumer, 0, 20) {
		equal(t, ids[n].EntryID(), int64(n), "entry of the receipt")
		equal(t, message.ID().EntryID(), int64(n), "entry delivered")
		equal(t, message.ID().LedgerID(), ids[0].LedgerID(), "ledger delivered")
	}
}

func TestChunksArePutTogether(t *testing.T) {
	client, topic := newClient(t), newTopic()
	consumer := newConsumer(t, client, pulsar.ConsumerOptions{Topic: topic})
	producer := newProducer(t, client, pulsar.ProducerOptions{
		Topic: topic, DisableBatching: true, EnableChunking: true,
	})
	large := bytes.Repeat([]byte("0123456789abcdef"), 12*65536)
	send(t, producer, &pulsar.ProducerMessage{Payload: large})
	if message := receive(t, consumer); !bytes.Equal(message.Payload(), large) {
		t.Fatal("the chunked payload differs")
	}
}

func TestTooLargeIsRefused(t *testing.T) {
	client, topic := newClient(t), newTopic()
	producer := newProducer(t, client, pulsar.ProducerOptions{Topic: topic, DisableBatching: true})
	_, err := producer.Send(context.Background(), &pulsar.ProducerMessage{Payload: make([]byte, 5<<20+1)})
	if err == nil {
		t.Fatal("accepted")
	}
	send(t, producer, &pulsar.ProducerMessage{Payload: make([]byte, 5<<20-4096)})
}

func TestPartitionedTopic(t *testing.T) {
	client, topic := newClient(t), newTopic()
	rest(t, "PUT", restPath(topic)+"/partitions", "3")
	names := must[[]string](t)(client.TopicPartitions(topic))
	equal(t, fmt.Sprint(names), fmt.Sprintf("[%[1]s-partition-0 %[1]s-partition-1 %[1]s-partition-2]", topic), "partitions")
	consumer := newConsumer(t, client, pulsar.ConsumerOptions{Topic: topic})
	producer := newProducer(t, client, pulsar.ProducerOptions{Topic: topic, DisableBatching: true})
	order := map[string]int{}
	for n := range 60 {
		send(t, producer, &pulsar.ProducerMessage{Payload: number(n), Key: fmt.Sprint("k", n%10)})
	}
	partitions := map[int32]bool{}
	for range 60 {
		message := receive(t, consumer)
		var n int
		must[int](t)(fmt.Sscan(string(message.Payload()), &n))
		if last, seen := order[message.Key()]; seen && last >= n {
			t.Fatalf("key %s: %d after %d", message.Key(), n, last)
		}
		order[message.Key()] = n
		partitions[message.ID().PartitionIdx()] = true
		check(t, consumer.Ack(message))
	}
	equal(t, len(order), 10, "keys")
	equal(t, len(partitions), 3, "partitions with messages")
	nothingMore(t, consumer)
}

func TestPatternFindsTopics(t *testing.T) {
	client, topic := newClient(t), newTopic()
	expected := map[string]bool{}
	for n := range 3 {
		name := fmt.Sprint(topic, "-", n)
		expected[name] = true
		newProducer(t, client, pulsar.ProducerOptions{Topic: name})
	}
	consumer := newConsumer(t, client, pulsar.ConsumerOptions{
		TopicsPattern: topic + "-.*", AutoDiscoveryPeriod: 100 * time.Millisecond,
		SubscriptionInitialPosition: pulsar.SubscriptionPositionEarliest,
	})
	for name := range expected {
		sendNumbers(t, client, name, 0, 1)
	}
	late := topic + "-late"
	expected[late] = true
	sendNumbers(t, client, late, 0, 1)
	for range 4 {
		delete(expected, receive(t, consumer).Topic())
	}
	equal(t, len(expected), 0, "topics without a message")
}

func TestNonPersistentTopic(t *testing.T) {
	client := newClient(t)
	topic := "non-" + newTopic()
	consumer := newConsumer(t, client, pulsar.ConsumerOptions{Topic: topic})
	sendNumbers(t, client, topic, 0, 10)
	receiveNumbers(t, consumer, 0, 10)
}

func TestDelayedDelivery(t *testing.T) {
	client, topic := newClient(t), newTopic()
	consumer := newConsumer(t, client, pulsar.ConsumerOptions{Topic: topic, Type: pulsar.Shared})
	producer := newProducer(t, client, pulsar.ProducerOptions{Topic: topic, DisableBatching: true})
	begun := time.Now()
	send(t, producer, &pulsar.ProducerMessage{Payload: []byte("later"), DeliverAfter: time.Second})
	send(t, producer, &pulsar.ProducerMessage{Payload: []byte("now")})
	equal(t, string(receive(t, consumer).Payload()), "now", "first")
	equal(t, string(receive(t, consumer).Payload()), "later", "second")
	if took := time.Since(begun); took < time.Second {
		t.Fatalf("%v too early", time.Second-took)
	}
}

func TestSchemas(t *testing.T) {
	client, topic := newClient(t), newTopic()
	type example struct {
		A string
		B int
	}
	definition := `{"type":"record","name":"Example","fields":[{"name":"A","type":"string"},{"name":"B","type":"int"}]}`
	schema := pulsar.NewJSONSchema(definition, nil)
	consumer := newConsumer(t, client, pulsar.ConsumerOptions{Topic: topic, Schema: schema})
	producer := newProducer(t, client, pulsar.ProducerOptions{Topic: topic, Schema: schema})
	send(t, producer, &pulsar.ProducerMessage{Value: &example{"x", 3}})
	var got example
	check(t, receive(t, consumer).GetSchemaValue(&got))
	equal(t, got, example{"x", 3}, "value")
	other := pulsar.NewAvroSchema(definition, nil)
	if _, err := client.CreateProducer(pulsar.ProducerOptions{Topic: topic, Schema: other}); err == nil {
		t.Fatal("a schema of another type was accepted")
	}
}
