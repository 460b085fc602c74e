"""How fast messages come in.

Goal: an official client that publishes as fast as it may publishes at the rate of its topic, a twentieth
more or less, over ten seconds, by messages in batches and by bytes; a producer beside it on the same
connection goes on meanwhile; nothing is lost or out of order, and all goes at once when the rate is
removed.
"""

import json
import threading
import time

import pulsar
import pytest
from test_rates import namespace, set_policy

RATE = 500
SECONDS = 10


class Flood:
    """A producer that always has messages waiting, within its window; counts the receipts."""

    def __init__(self, client, topic, is_batched):
        self.producer = client.create_producer(
            topic, batching_enabled=is_batched, batching_max_messages=5, batching_max_publish_delay_ms=1,
            block_if_queue_full=True, max_pending_messages=500,
        )
        self.sent = self.receipts = 0
        self.failures = []
        self.ends = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.ends.is_set():
            self.producer.send_async(b"%0100d" % self.sent, self.on_receipt)
            self.sent += 1

    def on_receipt(self, result, _):
        if result == pulsar.Result.Ok:
            self.receipts += 1
        else:
            self.failures.append(result)

    def receipts_in(self, seconds):
        before, start = self.receipts, time.monotonic()
        time.sleep(seconds)
        return (self.receipts - before) * seconds / (time.monotonic() - start)

    def end(self):
        self.ends.set()
        self.thread.join(60)
        self.producer.flush()
        assert not self.failures and self.receipts == self.sent


def numbers(client, topic, count):
    reader = client.create_reader(topic, pulsar.MessageId.earliest)
    return [int(reader.read_next(10_000).data()) for _ in range(count)]


@pytest.mark.parametrize("by", ["messages", "bytes"])
def test_a_publish_rate_is_held_beside_a_neighbour_and_removed(shared_server, new_client, by):
    name = namespace(shared_server)
    topic, free_topic = f"persistent://{name}/t", f"persistent://public/default/free-{by}-{name[9:]}"
    client = new_client(shared_server)
    entry = 150  # Roughly, a message with its metadata.
    limit = {
        "messages": {"publishThrottlingRateInMsg": RATE},
        "bytes": {"publishThrottlingRateInByte": RATE * entry},
    }
    set_policy(shared_server, name, "publishRate", limit[by])
    flood = Flood(client, topic, by == "messages")
    free = client.create_producer(free_topic)

    def stats():
        return json.loads(shared_server.rest("GET", f"/admin/v2/persistent/{name}/t/stats")[1])

    time.sleep(1)
    before, start = stats(), time.monotonic()
    sent = 0
    while time.monotonic() - start < SECONDS:
        free.send(b"m")  # Behind a producer that fills its connection it would wait for seconds.
        sent += 1
    after, took = stats(), time.monotonic() - start
    counter, expected = {
        "messages": ("msgInCounter", RATE), "bytes": ("bytesInCounter", RATE * entry),
    }[by]
    rate = (after[counter] - before[counter]) / took
    assert expected * 0.95 <= rate <= expected * 1.05, rate
    assert sent > 20 * SECONDS, sent
    assert after["publishRateLimitedTimes"] > 0
    shared_server.rest("DELETE", f"/admin/v2/namespaces/{name}/publishRate")
    assert flood.receipts_in(2) > 2 * RATE * 2
    flood.end()
    assert numbers(client, topic, flood.sent) == list(range(flood.sent))
