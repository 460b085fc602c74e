package interop

import (
	"testing"

	"github.com/apache/pulsar-client-go/pulsar"
)

func TestZeroQueueConsumersLeaveEachOtherTheRest(t *testing.T) {
	client, topic := newClient(t), newTopic()
	options := pulsar.ConsumerOptions{Topic: topic, Type: pulsar.Shared, EnableZeroQueueConsumer: true}
	slow, fast := newConsumer(t, client, options), newConsumer(t, client, options)
	sendNumbers(t, client, topic, 0, 10)
	got := map[string]bool{string(receive(t, slow).Payload()): true}
	for range 9 {
		message := receive(t, fast)
		got[string(message.Payload())] = true
		check(t, fast.Ack(message))
	}
	equal(t, len(got), 10, "different messages")
	waitFor(t, "only what the slow one holds is left", func() bool { return backlog(t, topic) == 1 })
}
