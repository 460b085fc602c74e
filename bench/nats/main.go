// Loads a NATS server's JetStream the way `geminga perf` loads Geminga: so many messages without an
// answer, each answered when the server has stored it; then reads and acks all. Prints JSON.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const name = "bench"

// How long an answer may take.
const patience = 30 * time.Second

func main() {
	url := flag.String("url", nats.DefaultURL, "the server")
	size := flag.Int("size", 1024, "bytes of each message")
	inFlight := flag.Int("in-flight", 1000, "messages without an answer")
	messages := flag.Int("messages", 1_000_000, "messages in all")
	verb := flag.String("verb", "produce", "produce or consume")
	flag.Parse()
	if err := run(*url, *verb, *size, *inFlight, *messages); err != nil {
		fmt.Fprintln(os.Stderr, "nats:", err)
		os.Exit(1)
	}
}

func run(url, verb string, size, inFlight, messages int) error {
	connection, err := nats.Connect(url)
	if err != nil {
		return err
	}
	defer connection.Close()
	var failure atomic.Pointer[error]
	failed := func(_ jetstream.JetStream, _ *nats.Msg, err error) { failure.Store(&err) }
	js, err := jetstream.New(connection, jetstream.WithPublishAsyncMaxPending(inFlight),
		jetstream.WithPublishAsyncErrHandler(failed))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	config := jetstream.StreamConfig{Name: name, Subjects: []string{name}, Storage: jetstream.FileStorage}
	stream, err := js.CreateOrUpdateStream(ctx, config)
	if err != nil {
		return err
	}
	began := time.Now()
	if verb == "produce" {
		err = produce(js, size, messages)
		if why := failure.Load(); err == nil && why != nil {
			err = *why
		}
	} else {
		err = consume(ctx, stream, messages)
	}
	if err != nil {
		return err
	}
	seconds := time.Since(began).Seconds()
	report := map[string]any{"messages": messages, "messages_per_second": float64(messages) / seconds}
	return json.NewEncoder(os.Stdout).Encode(report)
}

func produce(js jetstream.JetStream, size, messages int) error {
	payload := make([]byte, size)
	for range messages {
		if _, err := js.PublishAsync(name, payload, jetstream.WithStallWait(patience)); err != nil {
			return err
		}
	}
	select {
	case <-js.PublishAsyncComplete():
		return nil
	case <-time.After(patience):
		return errors.New("answers are missing")
	}
}

func consume(ctx context.Context, stream jetstream.Stream, messages int) error {
	config := jetstream.ConsumerConfig{Durable: "s", AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: -1}
	consumer, err := stream.CreateOrUpdateConsumer(ctx, config)
	if err != nil {
		return err
	}
	incoming, err := consumer.Messages(jetstream.PullMaxMessages(1000))
	if err != nil {
		return err
	}
	defer incoming.Stop()
	for range messages {
		message, err := incoming.Next(jetstream.NextMaxWait(patience))
		if err != nil {
			return err
		}
		if err := message.Ack(); err != nil {
			return err
		}
	}
	return nil
}
