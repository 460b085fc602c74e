// Tests of the server with the official Go client.
//
// They run under `serve.py`, which starts a fresh server and says where it is. All tests share it,
// one at a time; each has topics of its own.
package interop

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/apache/pulsar-client-go/pulsar"
	"github.com/apache/pulsar-client-go/pulsar/log"
)

const (
	patience = 20 * time.Second
	// How long a consumer is watched that must get nothing.
	silence = 200 * time.Millisecond
)

func must[T any](t *testing.T) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		check(t, err)
		return value
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal[T comparable](t *testing.T, got, want T, what string) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

// A client that is closed when the test ends.
func newClient(t *testing.T) pulsar.Client {
	t.Helper()
	client, err := pulsar.NewClient(clientOptions())
	check(t, err)
	t.Cleanup(client.Close)
	return client
}

func clientOptions() pulsar.ClientOptions {
	return pulsar.ClientOptions{
		URL:              os.Getenv("PULSAR_URL"),
		OperationTimeout: 10 * time.Second,
		Logger:           log.DefaultNopLogger(),
	}
}

var topics int

// The name of a topic that no other test has.
func newTopic() string {
	topics++
	return fmt.Sprintf("persistent://public/default/go-%d-%d", os.Getpid(), topics)
}

func newProducer(t *testing.T, client pulsar.Client, options pulsar.ProducerOptions) pulsar.Producer {
	t.Helper()
	producer, err := client.CreateProducer(options)
	check(t, err)
	t.Cleanup(producer.Close)
	return producer
}

func newConsumer(t *testing.T, client pulsar.Client, options pulsar.ConsumerOptions) pulsar.Consumer {
	t.Helper()
	if options.SubscriptionName == "" {
		options.SubscriptionName = "s"
	}
	consumer, err := client.Subscribe(options)
	check(t, err)
	t.Cleanup(consumer.Close)
	return consumer
}

func newReader(t *testing.T, client pulsar.Client, options pulsar.ReaderOptions) pulsar.Reader {
	t.Helper()
	reader, err := client.CreateReader(options)
	check(t, err)
	t.Cleanup(reader.Close)
	return reader
}

func send(t *testing.T, producer pulsar.Producer, message *pulsar.ProducerMessage) pulsar.MessageID {
	t.Helper()
	within, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	id, err := producer.Send(within, message)
	check(t, err)
	return id
}

// Sends "from", …, "to - 1" to the topic, an entry each.
func sendNumbers(t *testing.T, client pulsar.Client, topic string, from, to int) []pulsar.MessageID {
	t.Helper()
	producer := newProducer(t, client, pulsar.ProducerOptions{Topic: topic, DisableBatching: true})
	var ids []pulsar.MessageID
	for n := from; n < to; n++ {
		ids = append(ids, send(t, producer, &pulsar.ProducerMessage{Payload: number(n)}))
	}
	return ids
}

// Sends 0, …, count - 1 as one batch.
func sendBatch(t *testing.T, client pulsar.Client, topic string, count int) []pulsar.MessageID {
	t.Helper()
	producer := newProducer(t, client, pulsar.ProducerOptions{
		Topic: topic, BatchingMaxPublishDelay: time.Minute, BatchingMaxMessages: uint(count),
	})
	type outcome struct {
		at  int
		id  pulsar.MessageID
		err error
	}
	outcomes := make(chan outcome, count)
	for n := range count {
		message := &pulsar.ProducerMessage{Payload: number(n)}
		producer.SendAsync(context.Background(), message,
			func(id pulsar.MessageID, _ *pulsar.ProducerMessage, err error) { outcomes <- outcome{n, id, err} })
	}
	check(t, producer.Flush())
	ids := make([]pulsar.MessageID, count)
	for range count {
		outcome := <-outcomes
		check(t, outcome.err)
		ids[outcome.at] = outcome.id
	}
	equal(t, ids[count-1].EntryID(), ids[0].EntryID(), "entry of the batch's last message")
	return ids
}

func number(n int) []byte { return fmt.Append(nil, n) }

type receiver interface {
	Receive(context.Context) (pulsar.Message, error)
}

func receive(t *testing.T, consumer receiver) pulsar.Message {
	t.Helper()
	within, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	message, err := consumer.Receive(within)
	check(t, err)
	return message
}

func next(t *testing.T, reader pulsar.Reader) pulsar.Message {
	t.Helper()
	within, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	message, err := reader.Next(within)
	check(t, err)
	return message
}

// Receives `from`, …, `to - 1` in this order.
func receiveNumbers(t *testing.T, consumer receiver, from, to int) []pulsar.Message {
	t.Helper()
	var messages []pulsar.Message
	for n := from; n < to; n++ {
		message := receive(t, consumer)
		equal(t, string(message.Payload()), string(number(n)), "message")
		messages = append(messages, message)
	}
	return messages
}

func nothingMore(t *testing.T, consumer receiver) {
	t.Helper()
	within, cancel := context.WithTimeout(context.Background(), silence)
	defer cancel()
	if message, err := consumer.Receive(within); err == nil {
		t.Fatalf("one message too many: %v %q", message.ID(), message.Payload())
	}
}

// Polls until the condition is true.
func waitFor(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not in %v", what, patience)
		}
	}
}

// The body of an admin request's answer, which must be a success.
func rest(t *testing.T, method, path, body string) []byte {
	t.Helper()
	request, err := http.NewRequest(method, os.Getenv("PULSAR_WEB")+path, strings.NewReader(body))
	check(t, err)
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	check(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	check(t, err)
	if answer.StatusCode >= 300 {
		t.Fatalf("%s %s: %s: %s", method, path, answer.Status, text)
	}
	return bytes.TrimSpace(text)
}

func restPath(topic string) string {
	return "/admin/v2/" + strings.Replace(topic, "://", "/", 1)
}

// How many messages the subscription "s" of the topic has not acknowledged.
func backlog(t *testing.T, topic string) int {
	t.Helper()
	var stats struct {
		Subscriptions map[string]struct {
			MsgBacklog int `json:"msgBacklog"`
		} `json:"subscriptions"`
	}
	check(t, json.Unmarshal(rest(t, "GET", restPath(topic)+"/stats", ""), &stats))
	return stats.Subscriptions["s"].MsgBacklog
}

// Kills the server with SIGKILL and returns when it is up again, with the same data and ports.
func restartServer(t *testing.T) {
	t.Helper()
	flag := os.Getenv("GEMINGA_RESTART")
	check(t, os.WriteFile(flag, nil, 0o600))
	waitFor(t, "restart", func() bool {
		_, err := os.Stat(flag)
		return os.IsNotExist(err)
	})
}
