"""A topic that nobody uses is unloaded, and clients do not notice.

Goal: whenever a client comes back, also while its topic goes to sleep, it is served at once, and finds
everything that was receipted.
Method: an idle time so short that topics go to sleep between two visits of a client; visits at
random moments, some of which publish; then all messages are read. A topic that is used, or that
stores messages, stays: unloading would seal its open ledger, and then it could be trimmed.
"""

import pathlib
import random
import re
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import raw  # noqa: E402
from server import Server, wait_for  # noqa: E402

TOPICS = 20
SEED = 1


def topic(index):
    return f"persistent://public/default/sleep-{index}"


def loaded(server):
    """Names of the topics that are loaded."""
    status, text = server.rest("GET", "/metrics")
    assert status == 200
    return set(re.findall(r'pulsar_producers_count\{[^}]*topic="([^"]+)"', text))


def visit(connection, index, sequence, publishes):
    """Opens a producer, publishes one message or none, closes it."""
    connection.send(raw.PRODUCER, [(1, topic(index)), (2, index), (3, sequence)])
    connection.expect(raw.PRODUCER_SUCCESS)
    if publishes:
        entry = raw.entry("visitor", sequence, f"<{sequence}>".encode())
        connection.send(raw.SEND, [(1, index), (2, sequence), (3, 1)], entry)
        connection.expect(raw.SEND_RECEIPT)
    connection.send(15, [(1, index), (2, sequence)])  # CLOSE_PRODUCER
    connection.expect(raw.SUCCESS)


def read_all(connection, index, count):
    connection.send(raw.SUBSCRIBE, [(1, topic(index)), (2, "all"), (3, 0), (4, index), (5, 1), (13, 1)])
    connection.expect(raw.SUCCESS)
    connection.send(raw.FLOW, [(1, index), (2, 10_000)])
    found = []
    while len(found) < count:
        _, payload = connection.expect(raw.MESSAGE)
        found.append(int(re.search(rb"<(\d+)>", payload)[1]))
    return found


def test_visitors_never_notice():
    draw = random.Random(SEED)
    with Server({"topicIdleUnloadSeconds": 1}) as server:
        connection = raw.Connection(server.url)
        sent = {index: [] for index in range(TOPICS)}
        due = {index: 0.0 for index in range(TOPICS)}
        slept, until, sequence = 0, time.monotonic() + 15, 0
        while time.monotonic() < until:
            now = time.monotonic()
            for index in [index for index, at in due.items() if at <= now]:
                publishes = draw.random() < 0.1
                visit(connection, index, sequence, publishes)
                sent[index] += [sequence] * publishes
                sequence += 1
                # Sleep begins 1 to 1.5 s after the last use: most visits are near it.
                due[index] = time.monotonic() + draw.uniform(0.8, 1.8)
            slept = max(slept, TOPICS - len(loaded(server)))
        assert 0 < slept, f"seed {SEED}: no topic ever slept"
        for index, sequences in sent.items():
            assert read_all(connection, index, len(sequences)) == sequences, f"seed {SEED}"
        connection.close()


def test_what_is_used_or_stores_messages_stays():
    with Server({"topicIdleUnloadSeconds": 1}) as server:
        connection = raw.Connection(server.url)
        for index in range(3):
            visit(connection, index, index, publishes=index == 1)
        connection.send(raw.PRODUCER, [(1, topic(0)), (2, 0), (3, 9)])
        connection.expect(raw.PRODUCER_SUCCESS)
        subscribe = [(1, topic(1)), (2, "behind"), (3, 0), (4, 1), (5, 9), (13, 1)]
        connection.send(raw.SUBSCRIBE, subscribe)
        connection.expect(raw.SUCCESS)
        connection.send(16, [(1, 1), (2, 10)])  # CLOSE_CONSUMER
        connection.expect(raw.SUCCESS)
        wait_for(lambda: loaded(server) == {topic(0), topic(1)}, what="topic 2 asleep")
        status, _ = server.rest("POST", "/admin/v2/persistent/public/default/sleep-1/subscription/behind/skip_all")
        assert status == 204
        connection.close()
        wait_for(lambda: loaded(server) == {topic(1)}, what="the one without messages asleep")
        assert server.get("/admin/v2/persistent/public/default/sleep-1/stats")["subscriptions"]
