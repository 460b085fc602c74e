"""What clients see when the server is killed, stopped and unloaded."""

import collections
import random
import time

import pulsar
from server import Server

TIMEOUT = 20_000


def test_clients_come_back_after_a_kill_and_lose_nothing(server, new_client):
    topic = "persistent://public/default/restart"
    client = new_client(server)
    consumer = client.subscribe(topic, "s")
    producer = client.create_producer(topic, batching_enabled=False, send_timeout_millis=0)
    for n in range(100):
        producer.send(str(n).encode())
    for n in range(40):
        message = consumer.receive(TIMEOUT)
        assert message.data() == str(n).encode()
        if n < 30:
            consumer.acknowledge(message)
    consumer.redeliver_unacknowledged_messages()
    server.restart()
    for n in range(100, 120):
        producer.send(str(n).encode())
    seen = []
    while not seen or seen[-1] != 119:
        message = consumer.receive(TIMEOUT)
        consumer.acknowledge(message)
        seen.append(int(message.data()))
    assert set(range(30, 120)) <= set(seen)


def test_a_stop_is_graceful_and_acks_are_kept(server, new_client):
    topic = "persistent://public/default/stop"
    client = new_client(server)
    consumer = client.subscribe(topic, "s")
    producer = client.create_producer(topic)
    for n in range(10):
        producer.send(str(n).encode())
    for _ in range(7):
        consumer.acknowledge(consumer.receive(TIMEOUT))
    consumer.close()
    client.close()
    assert server.terminate() == 0
    server.start()
    client = new_client(server)
    consumer = client.subscribe(topic, "s")
    assert [consumer.receive(TIMEOUT).data() for _ in range(3)] == [b"7", b"8", b"9"]


def test_an_unload_loses_nothing_and_keeps_the_order(server, new_client):
    client = new_client(server)
    topic = "persistent://public/default/unload"
    consumer = client.subscribe(topic, "s")
    producer = client.create_producer(topic, batching_enabled=False)
    seen = []
    for n in range(60):
        producer.send(str(n).encode())
        # Acks that the client still held back when the topic was unloaded come again.
        while not seen or seen[-1] != n:
            message = consumer.receive(TIMEOUT)
            consumer.acknowledge(message)
            if not seen or seen[-1] < int(message.data()):
                seen.append(int(message.data()))
        if n % 20 == 10:
            status, text = server.rest("PUT", "/admin/v2/persistent/public/default/unload/unload")
            assert status in (200, 204), text
    assert seen == list(range(60))


def test_partitions_and_schemas_survive_a_kill(server, new_client):
    assert server.rest("PUT", "/admin/v2/persistent/public/default/p/partitions", 4)[0] == 204
    client = new_client(server)
    client.create_producer("p", schema=pulsar.schema.StringSchema()).send("x")
    server.restart()
    assert server.get("/admin/v2/persistent/public/default/p/partitions")["partitions"] == 4
    assert server.get("/admin/v2/schemas/public/default/p/schema")["type"] == "STRING"


def test_redelivery_counts_survive_a_kill(server, new_client):
    topic = "persistent://public/default/counts"
    client = new_client(server)

    def subscribe():
        return client.subscribe(
            topic, "s", consumer_type=pulsar.ConsumerType.Shared, negative_ack_redelivery_delay_ms=10)

    consumer = subscribe()
    producer = client.create_producer(topic, batching_enabled=False)
    for data in (b"never", b"twice"):
        producer.send(data)
    twice = 0
    while twice < 2:
        message = consumer.receive(TIMEOUT)
        if message.data() == b"twice":
            twice = message.redelivery_count()
            consumer.negative_acknowledge(message)
    # Its answer follows the sync of all that was noted before.
    skip = "/admin/v2/persistent/public/default/counts/subscription/s/skip/0"
    assert server.rest("POST", skip)[0] == 204
    consumer.close()
    server.restart()
    consumer = subscribe()
    counts = {}
    while set(counts) < {b"never", b"twice"}:
        message = consumer.receive(TIMEOUT)
        counts[message.data()] = message.redelivery_count()
    # What was at the consumer when it was closed was not asked for again.
    assert counts[b"never"] == 0
    assert 2 <= counts[b"twice"]


def test_many_delayed_messages_come_once_and_in_time_although_the_server_is_killed(new_client):
    topic, draw, count = "persistent://public/default/delayed", random.Random(1), 3_000
    # Small ledgers of the index, so that there are some, and some are merged.
    settings = {"delayedDeliveryMinIndexCountPerBucket": 200, "delayedDeliveryMaxNumBuckets": 3}
    with Server(settings) as server:
        client = new_client(server)
        client.subscribe(topic, "s", pulsar.ConsumerType.Shared)
        producer = client.create_producer(topic, batching_enabled=False, block_if_queue_full=True)
        begin = int(time.time() * 1000) + 15_000
        for number in range(count):
            due = begin + draw.randrange(5_000)
            producer.send_async(f"{number} {due}".encode(), lambda *_: None, deliver_at=due)
        producer.flush()
        client.close()
        server.kill()
        server.start()
        assert time.time() * 1000 < begin, "this machine is too slow for this test"
        consumer = new_client(server).subscribe(topic, "s", pulsar.ConsumerType.Shared)
        seen = collections.Counter()
        while len(seen) < count:
            message = consumer.receive(30_000)
            now = time.time() * 1000
            number, due = map(int, message.data().split())
            assert due <= now < due + 5_000, f"message {number} came {now - due} ms after its time"
            seen[number] += 1
            consumer.acknowledge(message)
        assert set(seen.values()) == {1}
