package interop

import (
	"testing"
	"time"

	"github.com/apache/pulsar-client-go/pulsar"
	"github.com/apache/pulsar-client-go/pulsaradmin/pkg/utils"
)

func adminSubscriptions(t *testing.T, s *adminScript) {
	subscriptions := s.Subscriptions()
	_, topic := s.newBacklog(t, "a")
	path := restPath(topic.String())
	check(t, subscriptions.Create(topic, "earliest", utils.Earliest))
	check(t, subscriptions.Create(topic, "latest", utils.Latest))
	same(t, backlogs(t, topic), map[string]int{"a": 3, "earliest": 3, "latest": 0}, "backlogs of what was created")
	refusal(t, subscriptions.Create(topic, "a", utils.Earliest), 409, "already exist")
	names := must[[]string](t)(subscriptions.List(topic))
	same(t, names, restJSON[[]string](t, path+"/subscriptions"), "names, and by REST")
	equal(t, len(names), 3, "number of names")

	// The library encodes names twice, and Pulsar's brokers decode them twice.
	const odd = "public/default/ü 50%"
	check(t, subscriptions.Create(topic, odd, utils.Earliest))
	listed(t, restJSON[[]string](t, path+"/subscriptions"), odd, true, "names")
	check(t, subscriptions.ClearBacklog(topic, odd))
	equal(t, backlogs(t, topic)[odd], 0, "backlog of an odd name")
	check(t, subscriptions.Delete(topic, odd))
	listed(t, restJSON[[]string](t, path+"/subscriptions"), odd, false, "names")

	check(t, subscriptions.Delete(topic, "latest"))
	listed(t, restJSON[[]string](t, path+"/subscriptions"), "latest", false, "names after a deletion")
	client := must[pulsar.Client](t)(pulsar.NewClient(clientOptions()))
	defer client.Close()
	consumer := newConsumer(t, client, pulsar.ConsumerOptions{Topic: topic.String(), SubscriptionName: "earliest"})
	receiveNumbers(t, consumer, 0, 3)
	refusal(t, subscriptions.Delete(topic, "earliest"), 412, "")
	check(t, subscriptions.ForceDelete(topic, "earliest"))
	waitFor(t, "deletion by force", func() bool {
		// The client may come again, and begins at the end then.
		left, ok := backlogs(t, topic)["earliest"]
		return !ok || left == 0
	})
	s.checked("Subscriptions", "Create", "List", "Delete", "ForceDelete")
}

func adminCursors(t *testing.T, s *adminScript) {
	subscriptions := s.Subscriptions()
	_, topic := s.newBacklog(t, "a", "b")
	left := func(a, b int) {
		t.Helper()
		same(t, backlogs(t, topic), map[string]int{"a": a, "b": b}, "backlogs")
	}
	last := must[utils.MessageID](t)(s.Topics().GetLastMessageID(topic))
	check(t, subscriptions.SkipMessages(topic, "a", 2))
	left(1, 3)
	check(t, subscriptions.ClearBacklog(topic, "a"))
	left(0, 3)
	second := utils.MessageID{LedgerID: last.LedgerID, EntryID: 1, PartitionIndex: -1}
	check(t, subscriptions.ResetCursorToMessageID(topic, "a", second))
	left(2, 3)
	check(t, subscriptions.ResetCursorToTimestamp(topic, "a", 0))
	left(3, 3)
	check(t, subscriptions.ResetCursorToTimestamp(topic, "a", time.Now().Add(time.Hour).UnixMilli()))
	left(0, 3)
	check(t, subscriptions.ResetCursorToTimestamp(topic, "a", 0))
	s.checked("Subscriptions", "SkipMessages", "ClearBacklog", "ResetCursorToMessageID", "ResetCursorToTimestamp")

	// Messages are at least so old when the clock has gone on that far.
	check(t, subscriptions.ExpireMessages(topic, "a", 3600))
	check(t, subscriptions.ExpireAllMessages(topic, 3600))
	left(3, 3)
	waitFor(t, "expiry of one subscription's", func() bool {
		check(t, ignoringConflict(subscriptions.ExpireMessages(topic, "a", 1)))
		return backlogs(t, topic)["a"] == 0
	})
	left(0, 3)
	check(t, subscriptions.ResetCursorToTimestamp(topic, "a", 0))
	waitFor(t, "expiry of all", func() bool {
		check(t, ignoringConflict(subscriptions.ExpireAllMessages(topic, 1)))
		all := backlogs(t, topic)
		return all["a"] == 0 && all["b"] == 0
	})
	s.checked("Subscriptions", "ExpireMessages", "ExpireAllMessages")
}

func adminMessages(t *testing.T, s *adminScript) {
	subscriptions := s.Subscriptions()
	namespace, topic := s.newBacklog(t, "a")
	peeked := must[[]*utils.Message](t)(subscriptions.PeekMessages(topic, "a", 2))
	equal(t, len(peeked), 2, "messages")
	for n, message := range peeked {
		equal(t, string(message.Payload), string(number(n)), "payload")
		equal(t, message.MessageID.EntryID, int64(n), "entry")
	}
	same(t, backlogs(t, topic), map[string]int{"a": 3}, "backlog of what was looked at")
	id := peeked[1].MessageID
	message := must[*utils.Message](t)(subscriptions.GetMessageByID(topic, id.LedgerID, id.EntryID))
	equal(t, string(message.Payload), "1", "message by its id")

	batches := topicOf(t, namespace, "batches")
	client := must[pulsar.Client](t)(pulsar.NewClient(clientOptions()))
	defer client.Close()
	first := sendBatch(t, client, batches.String(), 3)[0]
	all := must[[]*utils.Message](t)(subscriptions.GetMessagesByID(batches, first.LedgerID(), first.EntryID()))
	equal(t, len(all), 3, "messages of a batch")
	for n, message := range all {
		equal(t, string(message.Payload), string(number(n)), "payload")
	}
	_, err := subscriptions.GetMessageByID(topic, id.LedgerID, 99)
	refusal(t, err, 404, "")
	s.checked("Subscriptions", "PeekMessages", "GetMessageByID", "GetMessagesByID")
}
