"""Goal: a full disk refuses publishes with a reason, and nothing else; it heals without a restart.

Method: a real file system of 96 MiB, filled from outside while an official client produces, consumes and
acks. Beside it a raw connection sees the frames.
"""

import json

import pulsar
import pytest
import raw
from server import Server, wait_for
from small_disk import MIB, SmallDisk

LIMIT = 16 * MIB
SETTINGS = {
    "minUsableSizeForEntryLogCreation": LIMIT,
    "journalMaxSizeMB": 4,
    "journalMaxBackups": 1,
    "dbStorage_writeCacheMaxSizeMb": 4,
    "dbStorage_readAheadCacheMaxSizeMb": 4,
    "logSizeLimit": 4 * MIB,
    "flushInterval": 200,
    "gcWaitTime": 200,
    "retentionCheckIntervalInSeconds": 1,
    "managedLedgerMaxEntriesPerLedger": 100,
    "managedLedgerMinLedgerRolloverTimeMinutes": 0,
}
TOPIC = "persistent://public/default/kept"
REST = "/admin/v2/persistent/public/default"
PAYLOAD = bytes(10_000)


@pytest.fixture
def disk():
    disk = SmallDisk(96)
    yield disk
    disk.remove()


@pytest.fixture
def server(disk):
    server = Server(settings=SETTINGS, prefix=disk.prefix)
    server.data = disk.path / "data"
    yield server.start()
    server.remove()


@pytest.fixture
def client_log(server):
    return server.directory / "client.txt"


@pytest.fixture
def client(server, client_log):
    logger = pulsar.FileLogger(pulsar.LoggerLevel.Warn, str(client_log))
    client = pulsar.Client(server.url, logger=logger, operation_timeout_seconds=20)
    yield client
    client.close()


def health(server):
    status, text = server.rest("GET", "/admin/v2/brokers/health")
    return status, text if status == 200 else json.loads(text)["reason"]


def metric(server, name):
    status, text = server.rest("GET", "/metrics")
    assert status == 200
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(name + " "))


def wait_until_refused(server):
    wait_for(lambda: health(server)[0] == 503, what="publishes refused")


def publisher(server):
    """A raw producer; returns what sends one message and gives the next frame that came back."""
    connection = raw.Connection(server.url)
    connection.send(raw.PRODUCER, [(1, TOPIC), (2, 1), (3, 1)])
    name = connection.expect(raw.PRODUCER_SUCCESS)[0][2].decode()

    def publish(sequence_id):
        entry = raw.entry(name, sequence_id, b"-1 raw")
        connection.send(raw.SEND, [(1, 1), (2, sequence_id), (3, 1)], entry)
        return connection.receive()

    return connection, publish


def send_all(producer, numbers, payload=b""):
    for number in numbers:
        producer.send(str(number).encode() + b" " + payload)


def numbers_of(consumer, count):
    numbers = []
    for _ in range(count):
        message = consumer.receive(20_000)
        numbers.append(int(message.data().split(b" ")[0]))
        consumer.acknowledge(message)
    return numbers


def test_publishes_are_refused_with_a_reason_and_all_else_goes_on(disk, server, client, client_log):
    consumer = client.subscribe(TOPIC, "s")
    for name in ("unused", "other"):
        client.subscribe(TOPIC, name).close()
    client.subscribe("victim", "s").close()
    producer = client.create_producer(TOPIC, batching_enabled=False, send_timeout_millis=0)
    send_all(producer, range(300))
    connection, publish = publisher(server)
    assert publish(0)[0] == raw.SEND_RECEIPT
    assert health(server) == (200, "ok")
    assert metric(server, "bookie_SERVER_STATUS") == 1

    disk.fill(leave=LIMIT // 2)
    wait_until_refused(server)
    # The reason names the directory, what is free, and the limit: over REST and to the client.
    code, answer, _ = publish(1)
    assert code == raw.ERROR and answer[2] == 2, (code, answer)  # PersistenceError
    for reason in (health(server)[1], answer[3].decode()):
        assert str(disk.path) in reason and str(LIMIT) in reason and "bytes are free" in reason, reason
    assert connection.receive()[0] == raw.CLOSE_PRODUCER
    connection.close()
    assert metric(server, "bookie_SERVER_STATUS") == 0
    assert metric(server, "geminga_disk_free_bytes") < LIMIT
    assert server.rest("GET", "/admin/v2/brokers/ready")[0] == 200

    outcomes = []
    for number in range(300, 305):
        producer.send_async(str(number).encode() + b" ", lambda result, _: outcomes.append(result))
    wait_for(lambda: str(LIMIT) in client_log.read_text(), what="the reason in the client's log")
    assert not outcomes, "neither receipted nor failed: the client keeps trying"

    # Reads and acks go on, and an ack that was confirmed is durable.
    assert numbers_of(consumer, 200) == list(range(200))
    acker = raw.Connection(server.url)
    acker.send(raw.SUBSCRIBE, [(1, TOPIC), (2, "other"), (3, 1), (4, 1), (5, 1)])
    acker.expect(raw.SUCCESS)
    ledger = server.get(f"{REST}/kept/internalStats")["ledgers"][0]["ledgerId"]
    for position in range(10):
        message_id = raw.message([(1, ledger), (2, position)])
        acker.send(raw.ACK, [(1, 1), (2, 0), (3, message_id), (8, 100 + position)])
        answered, _ = acker.expect(raw.ACK_RESPONSE)
        assert answered[6] == 100 + position and 4 not in answered, answered
    acker.close()

    # So do deletions, and what needs metadata only.
    assert server.rest("DELETE", f"{REST}/kept/subscription/unused")[0] == 204
    assert server.rest("DELETE", f"{REST}/victim?force=true")[0] == 204
    assert server.rest("GET", f"{REST}/victim/stats")[0] == 404
    assert server.get(f"{REST}/kept/stats")["subscriptions"].keys() == {"s", "other"}

    disk.relieve()
    wait_for(lambda: health(server)[0] == 200, what="publishes accepted")
    # The same client's producer goes on, with what it could not send at first.
    wait_for(lambda: len(outcomes) == 5, timeout=60, what="receipts")
    assert outcomes == [pulsar.Result.Ok] * 5
    send_all(producer, range(305, 310))
    assert metric(server, "bookie_SERVER_STATUS") == 1
    assert numbers_of(consumer, 111) == [*range(200, 300), -1, *range(300, 310)]
    consumer.close()

    server.restart()
    assert server.get(f"{REST}/kept/stats")["subscriptions"]["other"]["msgBacklog"] == 311 - 10


def test_deleting_a_topic_brings_the_space_back(disk, server, client):
    consumer = client.subscribe(TOPIC, "s")
    producer = client.create_producer(TOPIC, batching_enabled=False, send_timeout_millis=0)
    client.subscribe("waste", "s").close()
    waste = client.create_producer("waste", batching_enabled=False, send_timeout_millis=3000)
    send_all(producer, range(10))
    # The producer itself fills the disk, as far as it is let.
    wasted = 0
    with pytest.raises(pulsar.Timeout):
        while True:
            waste.send(bytes(500_000))
            wasted += 1
            assert wasted < 200
    waste.close()
    assert health(server)[0] == 503
    assert 1000 < disk.free()
    assert server.rest("DELETE", f"{REST}/waste?force=true")[0] == 204
    wait_for(lambda: health(server)[0] == 200, timeout=60, what="the space of the deleted topic")
    send_all(producer, range(10, 20))
    assert numbers_of(consumer, 20) == list(range(20))


@pytest.mark.parametrize("leave", [0, LIMIT // 4])
def test_a_restart_on_a_full_disk_loses_nothing(disk, server, client, leave):
    client.subscribe(TOPIC, "s").close()
    producer = client.create_producer(TOPIC, batching_enabled=False, send_timeout_millis=3000)
    send_all(producer, range(200), PAYLOAD)
    receipted = 200
    disk.fill(leave)
    with pytest.raises(pulsar.Timeout):
        for number in range(200, 2000):
            send_all(producer, [number], PAYLOAD)
            receipted += 1
    assert disk.free() < leave + MIB, "nothing was given back meanwhile"
    assert health(server)[0] == 503
    reader = client.create_reader(TOPIC, pulsar.MessageId.earliest)
    for number in range(receipted):
        assert int(reader.read_next(20_000).data().split(b" ")[0]) == number
    reader.close()

    server.restart()  # After kill -9, and the disk is full still.
    assert health(server)[0] == 503
    if leave == 0:
        # Nothing can note that the topic has a new owner, and it says so.
        status, text = server.rest("GET", f"{REST}/kept/stats")
        assert status == 503 and "the disk with the metadata is full" in text, (status, text)
        disk.relieve()
    consumer = client.subscribe(TOPIC, "s")
    assert numbers_of(consumer, receipted) == list(range(receipted))
    if leave != 0:
        disk.relieve()
    wait_for(lambda: health(server)[0] == 200, what="publishes accepted")
    wait_for(lambda: sends(producer), timeout=60, what="the producer goes on")


def sends(producer):
    try:
        send_all(producer, [9999])
    except pulsar.Timeout:
        return False
    return True
