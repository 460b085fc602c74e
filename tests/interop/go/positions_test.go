package interop

import (
	"math"
	"testing"
	"time"

	"github.com/apache/pulsar-client-go/pulsar"
)

func TestReaderFromTheStart(t *testing.T) {
	client, topic := newClient(t), newTopic()
	reader := newReader(t, client, pulsar.ReaderOptions{Topic: topic, StartMessageID: pulsar.EarliestMessageID()})
	equal(t, reader.HasNext(), false, "message in an empty topic")
	sendNumbers(t, client, topic, 0, 10)
	for n := range 10 {
		equal(t, reader.HasNext(), true, "more messages")
		equal(t, string(next(t, reader).Payload()), string(number(n)), "message")
	}
	equal(t, reader.HasNext(), false, "message after the last")
}

func TestReaderAtLatestWaitsForTheNext(t *testing.T) {
	client, topic := newClient(t), newTopic()
	sendNumbers(t, client, topic, 0, 3)
	reader := newReader(t, client, pulsar.ReaderOptions{Topic: topic, StartMessageID: pulsar.LatestMessageID()})
	equal(t, reader.HasNext(), false, "message behind latest")
	sendNumbers(t, client, topic, 3, 4)
	equal(t, string(next(t, reader).Payload()), "3", "message")
}

func TestReaderAtTheLastMessageOfAnEmptyTopicWaitsForTheFirst(t *testing.T) {
	client, topic := newClient(t), newTopic()
	reader := newReader(t, client, pulsar.ReaderOptions{
		Topic: topic, StartMessageID: pulsar.LatestMessageID(), StartMessageIDInclusive: true,
	})
	equal(t, reader.HasNext(), false, "message in an empty topic")
	sendNumbers(t, client, topic, 0, 2)
	// This client compares with "latest" until it has read a message, and finds that there is none.
	equal(t, string(next(t, reader).Payload()), "0", "message")
	equal(t, reader.HasNext(), true, "message")
	equal(t, string(next(t, reader).Payload()), "1", "message")
	equal(t, reader.HasNext(), false, "message after the last")
}

func TestReaderFromAnIdBeginsBehindItOrAtIt(t *testing.T) {
	client, topic := newClient(t), newTopic()
	ids := sendNumbers(t, client, topic, 0, 10)
	saved := must[pulsar.MessageID](t)(pulsar.DeserializeMessageID(ids[4].Serialize()))
	reader := newReader(t, client, pulsar.ReaderOptions{Topic: topic, StartMessageID: saved})
	equal(t, string(next(t, reader).Payload()), "5", "behind the id")
	reader = newReader(t, client, pulsar.ReaderOptions{
		Topic: topic, StartMessageID: saved, StartMessageIDInclusive: true,
	})
	equal(t, string(next(t, reader).Payload()), "4", "at the id")
}

func TestReaderIntoABatch(t *testing.T) {
	client, topic := newClient(t), newTopic()
	ids := sendBatch(t, client, topic, 10)
	reader := newReader(t, client, pulsar.ReaderOptions{Topic: topic, StartMessageID: ids[4]})
	for n := 5; n < 10; n++ {
		equal(t, reader.HasNext(), true, "more messages")
		equal(t, string(next(t, reader).Payload()), string(number(n)), "message")
	}
	equal(t, reader.HasNext(), false, "message after the last")
}

func TestReaderSeeks(t *testing.T) {
	client, topic := newClient(t), newTopic()
	ids := sendNumbers(t, client, topic, 0, 10)
	reader := newReader(t, client, pulsar.ReaderOptions{Topic: topic, StartMessageID: pulsar.EarliestMessageID()})
	next(t, reader)
	check(t, reader.Seek(ids[6]))
	equal(t, string(next(t, reader).Payload()), "7", "after seek")
	last := must[pulsar.MessageID](t)(reader.GetLastMessageID())
	equal(t, last.EntryID(), int64(9), "last entry")
}

func TestSeekByIdAndToTheEnds(t *testing.T) {
	for name, kind := range map[string]pulsar.SubscriptionType{"exclusive": pulsar.Exclusive, "shared": pulsar.Shared} {
		t.Run(name, func(t *testing.T) {
			client, topic := newClient(t), newTopic()
			consumer := newConsumer(t, client, pulsar.ConsumerOptions{Topic: topic, Type: kind})
			ids := sendNumbers(t, client, topic, 0, 10)
			for _, message := range receiveNumbers(t, consumer, 0, 10) {
				check(t, consumer.Ack(message))
			}
			check(t, consumer.Seek(ids[6]))
			receiveNumbers(t, consumer, 7, 10)
			// This client's seek refuses its own names for the ends, as they name no partition.
			check(t, consumer.Seek(pulsar.NewMessageID(-1, -1, -1, 0)))
			receiveNumbers(t, consumer, 0, 10)
			check(t, consumer.Seek(pulsar.NewMessageID(math.MaxInt64, math.MaxInt64, -1, 0)))
			nothingMore(t, consumer)
		})
	}
}

func TestSeekByTime(t *testing.T) {
	client, topic := newClient(t), newTopic()
	consumer := newConsumer(t, client, pulsar.ConsumerOptions{Topic: topic})
	sendNumbers(t, client, topic, 0, 5)
	first := receiveNumbers(t, consumer, 0, 5)
	waitFor(t, "a later millisecond", func() bool {
		return time.Now().UnixMilli() > first[4].PublishTime().UnixMilli()
	})
	middle := time.Now()
	sendNumbers(t, client, topic, 5, 10)
	check(t, consumer.SeekByTime(middle))
	receiveNumbers(t, consumer, 5, 10)
	check(t, consumer.SeekByTime(time.UnixMilli(1)))
	receiveNumbers(t, consumer, 0, 10)
	check(t, consumer.SeekByTime(time.Now().Add(time.Minute)))
	nothingMore(t, consumer)
}

func TestLastMessageIds(t *testing.T) {
	client, topic := newClient(t), newTopic()
	consumer := newConsumer(t, client, pulsar.ConsumerOptions{Topic: topic})
	for n := range 3 {
		sendNumbers(t, client, topic, n, n+1)
		ids := must[[]pulsar.TopicMessageID](t)(consumer.GetLastMessageIDs())
		equal(t, len(ids), 1, "ids")
		equal(t, ids[0].EntryID(), int64(n), "last entry")
		equal(t, ids[0].Topic(), topic, "topic")
	}
}

func TestLastMessageIdsOfPartitions(t *testing.T) {
	client, topic := newClient(t), newTopic()
	rest(t, "PUT", restPath(topic)+"/partitions", "2")
	consumer := newConsumer(t, client, pulsar.ConsumerOptions{Topic: topic})
	sendNumbers(t, client, topic+"-partition-1", 0, 4)
	ids := must[[]pulsar.TopicMessageID](t)(consumer.GetLastMessageIDs())
	entries := map[string]int64{}
	for _, id := range ids {
		entries[id.Topic()] = id.EntryID()
	}
	equal(t, entries[topic+"-partition-0"], -1, "last entry of the empty partition")
	equal(t, entries[topic+"-partition-1"], 3, "last entry of the other")
}
