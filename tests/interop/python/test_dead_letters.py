"""Dead letters by the server, for a client that has no policy of its own.

Goal: what a plain consumer gives back too often comes to the dead-letter topic, each message of a batch on
its own, and to no consumer again, once, also if the server is killed meanwhile.
Method: subscriptions are made over REST with properties; a consumer gives back some messages each time it
gets them and acks the others; another consumer reads the dead-letter topic.
"""

import json
import time

import pulsar
import pytest

REDELIVERIES = 2


def subscribe(server, client, topic, kind, **properties):
    """A consumer of a subscription with a dead-letter policy, which is made first."""
    properties.setdefault("maxRedeliverCount", str(REDELIVERIES))
    body = {
        "ledgerId": -1,
        "entryId": -1,
        "properties": {f"geminga.deadLetter.{name}": value for name, value in properties.items()},
    }
    path = f"/admin/v2/{topic.replace('://', '/')}/subscription/s"
    status, text = server.rest("PUT", path, json.dumps(body).encode())
    assert status in (204, 409), text
    return consume(client, topic, kind)


def consume(client, topic, kind):
    return client.subscribe(
        topic, "s", kind, negative_ack_redelivery_delay_ms=100, batch_index_ack_enabled=True,
    )


def explained(server, topic):
    path = f"/admin/v2/{topic.replace('://', '/')}/subscription/s/explain"
    status, text = server.rest("GET", path)
    assert status == 200, text
    return json.loads(text)[0]


def all_of(consumer, patience_ms=2_000):
    """What comes until nothing does for a while."""
    found = []
    while True:
        try:
            message = consumer.receive(patience_ms)
        except pulsar.Timeout:
            return found
        found.append(message)
        consumer.acknowledge(message)


def give_back(consumer, is_poison, deliveries, until):
    """Acks what is well and gives back the rest, until `until`; notes how often each was delivered."""
    deadline = time.monotonic() + 60
    while not until():
        assert time.monotonic() < deadline, deliveries
        try:
            message = consumer.receive(200)
        except pulsar.Timeout:
            continue
        text = message.data().decode()
        deliveries[text] = deliveries.get(text, 0) + 1
        if is_poison(text):
            consumer.negative_acknowledge(message)
        else:
            consumer.acknowledge(message)


@pytest.mark.parametrize("kind", [pulsar.ConsumerType.Shared, pulsar.ConsumerType.KeyShared])
@pytest.mark.parametrize("batch", [1, 5])
def test_what_is_given_back_too_often_goes_to_the_dead(shared_server, client, topic, kind, batch):
    consumer = subscribe(shared_server, client, topic, kind, initialSubscription="mourners")
    producer = client.create_producer(
        topic, batching_enabled=1 < batch, batching_max_messages=max(batch, 2),
        batching_max_publish_delay_ms=1_000, compression_type=pulsar.CompressionType.LZ4,
    )
    for index in range(20):
        producer.send_async(
            f"{index}".encode(), lambda result, _: None, partition_key=f"k{index % 3}",
            properties={"of": str(index)}, event_timestamp=1_000 + index,
        )
    producer.flush()
    poison = {str(index) for index in range(20) if index % 5 == 2}
    deliveries = {}

    def is_done():
        return explained(shared_server, topic)["backlogEntries"] == 0

    give_back(consumer, poison.__contains__, deliveries, is_done)
    mourner = client.subscribe(f"{topic}-s-DLQ", "mourners", pulsar.ConsumerType.Exclusive)
    dead = all_of(mourner)
    assert [message.data().decode() for message in dead] == sorted(poison, key=int)
    for message in dead:
        index = int(message.data())
        assert message.partition_key() == f"k{index % 3}"
        assert message.event_timestamp() == 1_000 + index
        properties = message.properties()
        assert properties["of"] == str(index)
        assert properties["REAL_TOPIC"] == topic
        assert properties["ORIGIN_MESSAGE_ID"]
        assert deliveries[str(index)] == REDELIVERIES + 1
    assert all_of(consumer, 500) == []
    told = explained(shared_server, topic)["deadLetters"]
    assert told["publishedMessages"] == len(poison) and "failure" not in told


def test_a_bad_policy_is_refused(shared_server, topic):
    path = f"/admin/v2/{topic.replace('://', '/')}/subscription/s"
    body = {"ledgerId": -1, "entryId": -1, "properties": {"geminga.deadLetter.maxRedeliverCount": "no"}}
    status, text = shared_server.rest("PUT", path, json.dumps(body).encode())
    assert status in (400, 412), text
    assert "geminga.deadLetter.maxRedeliverCount" in text and "no" in text


def test_a_kill_loses_no_dead_letter_and_none_is_there_twice(server, new_client, topic):
    client = new_client(server)
    consumer = subscribe(server, client, topic, pulsar.ConsumerType.Shared)
    producer = client.create_producer(topic, batching_enabled=False)
    for index in range(300):
        producer.send_async(f"{index}".encode(), lambda result, _: None)
    producer.flush()
    deliveries = {}

    def published():
        return explained(server, topic)["deadLetters"]["publishedMessages"]

    give_back(consumer, lambda _: True, deliveries, lambda: 0 < published())
    server.kill()
    client.close()
    server.start()
    client = new_client(server)
    consumer = consume(client, topic, pulsar.ConsumerType.Shared)

    def is_done():
        return explained(server, topic)["backlogEntries"] == 0

    again = {}
    give_back(consumer, lambda _: True, again, is_done)
    reader = client.create_reader(f"{topic}-s-DLQ", pulsar.MessageId.earliest)
    dead = []
    while reader.has_message_available():
        dead.append(reader.read_next(5_000).data().decode())
    assert sorted(dead, key=int) == [str(index) for index in range(300)]
    assert all(count <= REDELIVERIES + 1 for count in again.values())
