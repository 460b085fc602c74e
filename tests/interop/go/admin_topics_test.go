package interop

import (
	"testing"

	"github.com/apache/pulsar-client-go/pulsar"
	"github.com/apache/pulsar-client-go/pulsaradmin/pkg/utils"
)

func adminTopicLife(t *testing.T, s *adminScript) {
	topics, namespace := s.Topics(), s.newNamespace(t)
	plain, parted := topicOf(t, namespace, "plain"), topicOf(t, namespace, "parted")
	other := topicOf(t, namespace, "other")
	check(t, topics.Create(plain, 0))
	check(t, topics.Create(parted, 2))
	check(t, topics.CreateWithProperties(other, 0, map[string]string{"a": "1"}))
	refusal(t, topics.Create(plain, 0), 409, "already exist")
	withPartitions, all, err := topics.List(namespace)
	check(t, err)
	same(t, withPartitions, []string{parted.String()}, "topics with partitions")
	first, second := parted.String()+"-partition-0", parted.String()+"-partition-1"
	want := []string{other.String(), first, second, plain.String()}
	same(t, all, want, "topics")
	same(t, restJSON[[]string](t, "/admin/v2/persistent/"+namespace.String()), want, "topics by REST")

	partitions := func(topic utils.TopicName) int {
		return must[utils.PartitionedTopicMetadata](t)(topics.GetMetadata(topic)).Partitions
	}
	equal(t, partitions(plain), 0, "partitions of a plain topic")
	equal(t, partitions(parted), 2, "partitions")
	check(t, topics.Update(parted, 3))
	equal(t, partitions(parted), 3, "partitions now")
	equal(t, len(must[[]string](t)(newClient(t).TopicPartitions(parted.String()))), 3, "partitions by the client")

	properties := func() map[string]string { return must[map[string]string](t)(topics.GetProperties(other)) }
	same(t, properties(), map[string]string{"a": "1"}, "properties")
	check(t, topics.UpdateProperties(other, map[string]string{"b": "2"}))
	same(t, properties(), map[string]string{"a": "1", "b": "2"}, "updated properties")
	check(t, topics.RemoveProperty(other, "a"))
	same(t, properties(), map[string]string{"b": "2"}, "properties that are left")
	same(t, restJSON[map[string]string](t, restPath(other.String())+"/properties"), properties(), "properties by REST")

	newConsumer(t, newClient(t), pulsar.ConsumerOptions{Topic: plain.String()})
	refusal(t, topics.Delete(plain, false, true), 412, "")
	check(t, topics.Delete(other, false, true))
	check(t, topics.Delete(parted, true, false))
	same(t, restJSON[[]string](t, "/admin/v2/persistent/"+namespace.String()), want[3:], "topics that are left")
	s.checked("Topics", "Create", "CreateWithProperties", "List", "GetMetadata", "Update", "GetProperties",
		"UpdateProperties", "RemoveProperty", "Delete")
}

func adminTopicPlace(t *testing.T, s *adminScript) {
	topics := s.Topics()
	_, topic := s.newBacklog(t, "a")
	found := must[utils.LookupData](t)(topics.Lookup(topic))
	options := clientOptions()
	options.URL = found.BrokerURL
	client := must[pulsar.Client](t)(pulsar.NewClient(options))
	defer client.Close()
	consumer := newConsumer(t, client, pulsar.ConsumerOptions{Topic: topic.String(), SubscriptionName: "a"})
	receiveNumbers(t, consumer, 0, 3)
	equal(t, must[string](t)(topics.GetBundleRange(topic)), "0x00000000_0xffffffff", "the only bundle")

	type actions = map[string][]utils.AuthAction
	check(t, topics.GrantPermission(topic, "one", []utils.AuthAction{"consume"}))
	same(t, must[actions](t)(topics.GetPermissions(topic)), actions{"one": {"consume"}}, "permissions")
	path := restPath(topic.String()) + "/permissions"
	same(t, restJSON[actions](t, path), actions{"one": {"consume"}}, "permissions by REST")
	check(t, topics.RevokePermission(topic, "one"))
	same(t, restJSON[actions](t, path), actions{}, "permissions that are left")
	s.checked("Topics", "Lookup", "GetBundleRange", "GrantPermission", "GetPermissions", "RevokePermission")
}

func adminTopicStats(t *testing.T, s *adminScript) {
	topics, client := s.Topics(), newClient(t)
	namespace, topic := s.newBacklog(t, "a")
	producer := newProducer(t, client, pulsar.ProducerOptions{Topic: topic.String(), Name: "p"})
	consumer := newConsumer(t, client, pulsar.ConsumerOptions{Topic: topic.String(), SubscriptionName: "a", Name: "c"})
	receiveNumbers(t, consumer, 0, 3)
	stats := must[utils.TopicStats](t)(topics.GetStats(topic))
	equal(t, stats.MsgCounterIn, 3, "msgInCounter")
	equal(t, len(stats.Publishers), 1, "publishers")
	equal(t, stats.Publishers[0].ProducerName, producer.Name(), "producer")
	equal(t, stats.Subscriptions["a"].MsgBacklog, 3, "backlog")
	equal(t, stats.Subscriptions["a"].Consumers[0].ConsumerName, "c", "consumer")
	equal(t, stats.Subscriptions["a"].SubType, "Exclusive", "type")

	with := must[utils.TopicStats](t)(topics.GetStatsWithOption(topic, utils.GetStatsOptions{
		SubscriptionBacklogSize: true, GetEarliestTimeInBacklog: true, ExcludePublishers: true, ExcludeConsumers: true,
	}))
	equal(t, len(with.Publishers), 0, "excluded publishers")
	equal(t, len(with.Subscriptions["a"].Consumers), 0, "excluded consumers")
	if of := with.Subscriptions["a"]; of.BacklogSize <= 0 || of.EarliestMsgPublishTimeInBacklog <= 0 {
		t.Fatalf("size and age of the backlog: %+v", of)
	}
	ledgers := must[utils.PersistentTopicInternalStats](t)(topics.GetInternalStats(topic))
	equal(t, ledgers.NumberOfEntries, 3, "entries")
	_, hasCursor := ledgers.Cursors["a"]
	equal(t, hasCursor, true, "cursor")
	info := must[utils.ManagedLedgerInfo](t)(topics.GetInternalInfo(topic))
	equal(t, info.Ledgers[0].LedgerID, ledgers.Ledgers[0].LedgerID, "ledger of the internal info")
	last := must[utils.MessageID](t)(topics.GetLastMessageID(topic))
	equal(t, last.EntryID, 2, "last entry")
	at := must[utils.MessageID](t)(topics.GetMessageID(topic, 0))
	equal(t, at.EntryID, 0, "first entry after the beginning of time")
	equal(t, at.LedgerID, last.LedgerID, "its ledger")
	s.checked("Topics", "GetStats", "GetStatsWithOption", "GetInternalStats", "GetInternalInfo", "GetLastMessageID",
		"GetMessageID")

	parted := topicOf(t, namespace, "parted")
	check(t, topics.Create(parted, 2))
	sendNumbers(t, client, parted.String(), 0, 4)
	of := must[utils.PartitionedTopicStats](t)(topics.GetPartitionedStats(parted, true))
	equal(t, of.Metadata.Partitions, 2, "partitions")
	first, second := of.Partitions[parted.String()+"-partition-0"], of.Partitions[parted.String()+"-partition-1"]
	equal(t, first.MsgCounterIn+second.MsgCounterIn, 4, "messages of the partitions")
	of = must[utils.PartitionedTopicStats](t)(topics.GetPartitionedStatsWithOption(parted, false,
		utils.GetStatsOptions{ExcludePublishers: true}))
	equal(t, of.Metadata.Partitions, 2, "partitions with options")
	equal(t, len(of.Partitions), 0, "partitions that were not asked for")
	equal(t, len(of.Publishers), 0, "excluded publishers of partitions")
	s.checked("Topics", "GetPartitionedStats", "GetPartitionedStatsWithOption")
}

func adminTopicWork(t *testing.T, s *adminScript) {
	topics, client := s.Topics(), newClient(t)
	namespace, topic := s.newBacklog(t, "a")
	last := must[utils.MessageID](t)(topics.GetLastMessageID(topic))
	check(t, topics.Unload(topic))
	sendNumbers(t, client, topic.String(), 3, 4)
	newest := must[utils.MessageID](t)(topics.GetLastMessageID(topic))
	if newest.LedgerID <= last.LedgerID { // An unloaded topic begins a new ledger.
		t.Fatalf("last message: %v, before the topic was unloaded: %v", newest, last)
	}
	same(t, backlogs(t, topic), map[string]int{"a": 4}, "backlog")

	terminated := must[utils.MessageID](t)(topics.Terminate(topic))
	equal(t, terminated.EntryID, newest.EntryID, "entry of the last message")
	if _, err := client.CreateProducer(pulsar.ProducerOptions{Topic: topic.String()}); err == nil {
		t.Fatal("a producer of a terminated topic")
	}

	keyed := topicOf(t, namespace, "keyed")
	producer := newProducer(t, client, pulsar.ProducerOptions{Topic: keyed.String(), DisableBatching: true})
	for n := range 3 {
		send(t, producer, &pulsar.ProducerMessage{Key: "k", Payload: number(n)})
	}
	equal(t, must[utils.LongRunningProcessStatus](t)(topics.CompactStatus(keyed)).Status, utils.NOTRUN, "status before")
	check(t, topics.Compact(keyed))
	waitFor(t, "compaction", func() bool {
		return must[utils.LongRunningProcessStatus](t)(topics.CompactStatus(keyed)).Status == utils.SUCCESS
	})
	reader := newReader(t, client, pulsar.ReaderOptions{
		Topic: keyed.String(), StartMessageID: pulsar.EarliestMessageID(), ReadCompacted: true,
	})
	equal(t, string(next(t, reader).Payload()), "2", "first message of what was compacted")
	s.checked("Topics", "Unload", "Terminate", "Compact", "CompactStatus")

	equal(t, must[utils.OffloadProcessStatus](t)(topics.OffloadStatus(keyed)).Status, utils.NOTRUN, "offload")
	s.checked("Topics", "OffloadStatus")
	refusal(t, topics.Offload(keyed, last), 405, "managedLedgerOffloadDriver")
	s.wasRefused("Topics", "Offload")
}
