"""How fast messages go out, and what becomes of topics that nobody uses.

Goal: an official client receives no more than a twentieth above the dispatch rate in ten seconds, by
messages in batches and by bytes, and all at once when it is removed; an inactive topic is deleted.
"""

import json
import time
import uuid

import pulsar
import pytest
from server import Server, wait_for

RATE = 200
SECONDS = 10


def namespace(server):
    """A namespace of its own, whose policies are nobody else's."""
    name = f"public/n-{uuid.uuid4().hex[:12]}"
    status, text = server.rest("PUT", f"/admin/v2/namespaces/{name}")
    assert status == 204, text
    return name


def set_policy(server, namespace, policy, value):
    path = f"/admin/v2/namespaces/{namespace}/{policy}"
    status, text = server.rest("POST", path, json.dumps(value).encode())
    assert status == 204, text


def received(consumer, seconds):
    """Messages in the next seconds, the first of them aside."""
    consumer.acknowledge(consumer.receive(10_000))
    end = time.monotonic() + seconds
    count = 0
    while (left := end - time.monotonic()) > 0:
        try:
            consumer.acknowledge(consumer.receive(max(1, int(left * 1000))))
        except pulsar.Timeout:
            break
        count += 1
    return count


def publish(client, topic, count, size):
    producer = client.create_producer(
        topic, batching_enabled=True, batching_max_messages=5, batching_max_publish_delay_ms=5,
        block_if_queue_full=True,
    )
    for _ in range(count):
        producer.send_async(bytes(size), lambda result, _: None)
    producer.flush()
    producer.close()


@pytest.mark.parametrize("by", ["messages", "bytes"])
def test_a_dispatch_rate_is_held_and_removed(shared_server, new_client, by):
    name = namespace(shared_server)
    topic = f"persistent://{name}/t"
    client = new_client(shared_server)
    consumer = client.subscribe(topic, "s", pulsar.ConsumerType.Shared)
    publish(client, topic, 2 * RATE * SECONDS, 100)
    consumer.close()
    # The same of both: of bytes as many as the entries of RATE messages have.
    _, stats = shared_server.rest("GET", f"/admin/v2/persistent/{name}/t/stats")
    size = json.loads(stats)["storageSize"] / (2 * RATE * SECONDS)
    limit = {
        "messages": {"dispatchThrottlingRateInMsg": RATE},
        "bytes": {"dispatchThrottlingRateInByte": int(RATE * size)},
    }
    set_policy(shared_server, name, "dispatchRate", limit[by])
    consumer = client.subscribe(topic, "s", pulsar.ConsumerType.Shared)
    count = received(consumer, SECONDS)
    # Below it a slow machine may fall; above it nothing may go.
    assert RATE * SECONDS * 0.8 <= count <= RATE * SECONDS * 1.05, count
    shared_server.rest("DELETE", f"/admin/v2/namespaces/{name}/dispatchRate")
    assert received(consumer, 2) > RATE * 3


def test_an_inactive_topic_is_deleted():
    settings = {
        "brokerDeleteInactiveTopicsEnabled": "true",
        "brokerDeleteInactiveTopicsFrequencySeconds": 1,
    }
    with Server(settings) as server:
        client = pulsar.Client(server.url, logger=pulsar.ConsoleLogger(pulsar.LoggerLevel.Error))
        for name in ["unused", "read", "subscribed"]:
            publish(client, name, 3, 10)
        reader = client.create_reader("read", pulsar.MessageId.earliest)
        client.subscribe("subscribed", "s").close()

        def topics():
            _, text = server.rest("GET", "/admin/v2/persistent/public/default")
            return sorted(name.rsplit("/", 1)[1] for name in json.loads(text))

        wait_for(lambda: "unused" not in topics(), 30, "the unused topic is deleted")
        reader.read_next(5_000)
        assert topics() == ["read", "subscribed"]
        client.close()
