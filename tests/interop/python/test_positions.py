"""Readers, seek and the last message id, with the official Python client."""

import time

import pulsar
import pytest

TIMEOUT = 10_000


def send(client, topic, count, **arguments):
    producer = client.create_producer(topic, batching_enabled=False, **arguments)
    return [producer.send(str(n).encode()) for n in range(count)]


def take(source, count):
    return [receive(source).data() for _ in range(count)]


def receive(source):
    return source.read_next(TIMEOUT) if hasattr(source, "read_next") else source.receive(TIMEOUT)


def test_a_reader_from_the_start_reads_everything(client, topic):
    send(client, topic, 10)
    reader = client.create_reader(topic, pulsar.MessageId.earliest)
    assert take(reader, 10) == [str(n).encode() for n in range(10)]
    assert not reader.has_message_available()


def test_a_reader_from_an_id_begins_behind_it_or_at_it(client, topic):
    ids = send(client, topic, 10)
    reader = client.create_reader(topic, ids[4])
    assert take(reader, 2) == [b"5", b"6"]
    reader = client.create_reader(topic, ids[4], start_message_id_inclusive=True)
    assert take(reader, 2) == [b"4", b"5"]


def test_a_reader_at_latest_waits_for_the_next(client, topic):
    send(client, topic, 3)
    reader = client.create_reader(topic, pulsar.MessageId.latest)
    assert not reader.has_message_available()
    client.create_producer(topic).send(b"next")
    assert take(reader, 1) == [b"next"]


def test_has_message_available_on_an_empty_topic(client, topic):
    reader = client.create_reader(topic, pulsar.MessageId.earliest)
    assert not reader.has_message_available()
    send(client, topic, 1)
    assert reader.has_message_available()


def test_a_reader_into_a_batch(client, topic):
    producer = client.create_producer(
        topic, batching_enabled=True, batching_max_messages=10, batching_max_publish_delay_ms=5000
    )
    ids = []
    for n in range(10):
        producer.send_async(str(n).encode(), lambda _, message_id: ids.append(message_id))
    producer.flush()
    reader = client.create_reader(topic, ids[4])
    assert take(reader, 5) == [b"5", b"6", b"7", b"8", b"9"]
    assert not reader.has_message_available()


@pytest.mark.parametrize("kind", [pulsar.ConsumerType.Exclusive, pulsar.ConsumerType.Shared], ids=str)
def test_seek_by_id_and_to_the_ends(client, topic, kind):
    consumer = client.subscribe(topic, "s", kind)
    ids = send(client, topic, 10)
    for message in [receive(consumer) for _ in range(10)]:
        consumer.acknowledge(message)
    consumer.seek(ids[6])
    assert take(consumer, 3) == [b"7", b"8", b"9"]
    consumer.seek(pulsar.MessageId.earliest)
    assert take(consumer, 10) == [str(n).encode() for n in range(10)]
    consumer.seek(pulsar.MessageId.latest)
    with pytest.raises(pulsar.Timeout):
        consumer.receive(300)


def test_seek_by_time(client, topic):
    consumer = client.subscribe(topic, "s")
    send(client, topic, 5)
    time.sleep(0.05)
    middle = int(time.time() * 1000)
    time.sleep(0.05)
    producer = client.create_producer(topic, batching_enabled=False)
    for n in range(5, 10):
        producer.send(str(n).encode())
    consumer.seek(middle)
    assert take(consumer, 5) == [str(n).encode() for n in range(5, 10)]
    consumer.seek(0)
    assert take(consumer, 1) == [b"0"]
    consumer.seek(int(time.time() * 1000) + 60_000)
    with pytest.raises(pulsar.Timeout):
        consumer.receive(300)


def test_a_subscription_made_after_publishing_seeks_back(client, topic):
    send(client, topic, 5)
    consumer = client.subscribe(topic, "s")
    consumer.seek(pulsar.MessageId.earliest)
    assert take(consumer, 5) == [str(n).encode() for n in range(5)]


def test_last_message_id(client, topic):
    consumer = client.subscribe(topic, "s")
    assert consumer.get_last_message_id().entry_id() == -1
    for n in range(3):
        send(client, topic, 1)
        assert consumer.get_last_message_id().entry_id() == n
