package interop

import (
	"fmt"
	"testing"

	"github.com/apache/pulsar-client-go/pulsar"
)

// Goal: nothing that had its receipt is lost by a kill, no ack that had its response is undone, and
// clients go on by themselves.
// Method: send, acknowledge a part, kill the server, send more through the same producer, and read
// to the end with the same consumer.
func TestClientsComeBackAfterAKillAndLoseNothing(t *testing.T) {
	client, topic := newClient(t), newTopic()
	consumer := newConsumer(t, client, pulsar.ConsumerOptions{Topic: topic, AckWithResponse: true})
	producer := newProducer(t, client, pulsar.ProducerOptions{Topic: topic, DisableBatching: true, SendTimeout: -1})
	for n := range 100 {
		send(t, producer, &pulsar.ProducerMessage{Payload: number(n)})
	}
	for n, message := range receiveNumbers(t, consumer, 0, 40) {
		if n < 30 {
			check(t, consumer.Ack(message))
		}
	}
	restartServer(t)
	for n := 100; n < 120; n++ {
		send(t, producer, &pulsar.ProducerMessage{Payload: number(n)})
	}
	// What the client had queued before the kill may come first; then everything from 30 on.
	seen := map[int]bool{}
	for len(seen) < 80 || !seen[119] {
		var n int
		must[int](t)(fmt.Sscan(string(receive(t, consumer).Payload()), &n))
		if n >= 40 {
			seen[n] = true
		}
	}
	consumer.Close()
	consumer = newConsumer(t, client, pulsar.ConsumerOptions{Topic: topic})
	receiveNumbers(t, consumer, 30, 120)
}

// Goal: a reader goes on behind what it has read, and partitions are still there.
// Method: read all there is, kill the server, send more.
func TestPartitionsAndReadersSurviveAKill(t *testing.T) {
	client, topic := newClient(t), newTopic()
	rest(t, "PUT", restPath(topic)+"/partitions", "4")
	partition := topic + "-partition-2"
	sendNumbers(t, client, partition, 0, 5)
	reader := newReader(t, client, pulsar.ReaderOptions{
		Topic: partition, StartMessageID: pulsar.EarliestMessageID(),
	})
	for n := range 5 {
		equal(t, string(next(t, reader).Payload()), string(number(n)), "before")
	}
	restartServer(t)
	sendNumbers(t, client, partition, 5, 10)
	for n := 5; n < 10; n++ {
		equal(t, string(next(t, reader).Payload()), string(number(n)), "after")
	}
	equal(t, len(must[[]string](t)(client.TopicPartitions(topic))), 4, "partitions")
}
