"""The official Python client (on the C++ library): produce and consume in every form."""

import pulsar
import pytest

COMPRESSIONS = [
    pulsar.CompressionType.NONE, pulsar.CompressionType.LZ4, pulsar.CompressionType.ZLib,
    pulsar.CompressionType.ZSTD, pulsar.CompressionType.SNAPPY,
]
TIMEOUT = 10_000


def receive_all(consumer, count, ack=True):
    messages = []
    for _ in range(count):
        message = consumer.receive(TIMEOUT)
        if ack:
            consumer.acknowledge(message)
        messages.append(message)
    return messages


def nothing_more(consumer):
    with pytest.raises(pulsar.Timeout):
        consumer.receive(200)


@pytest.mark.parametrize("compression", COMPRESSIONS, ids=str)
@pytest.mark.parametrize("batching", [False, True], ids=["single", "batched"])
def test_payloads_come_out_as_they_went_in(client, topic, compression, batching):
    consumer = client.subscribe(topic, "s")
    producer = client.create_producer(topic, compression_type=compression, batching_enabled=batching)
    payloads = [f"{n}-".encode() + bytes([n % 256]) * n * 7 for n in range(100)]
    for n, payload in enumerate(payloads):
        producer.send_async(payload, None, properties={"n": str(n)}, partition_key=f"k{n}")
    producer.flush()
    messages = receive_all(consumer, 100)
    assert [message.data() for message in messages] == payloads
    assert [message.properties()["n"] for message in messages] == [str(n) for n in range(100)]
    assert messages[7].partition_key() == "k7"
    nothing_more(consumer)


def test_receipts_are_dense_and_equal_what_is_delivered(client, topic):
    consumer = client.subscribe(topic, "s")
    producer = client.create_producer(topic, batching_enabled=False)
    ids = [producer.send(b"x") for _ in range(20)]
    assert [each.entry_id() for each in ids] == list(range(20))
    assert len({each.ledger_id() for each in ids}) == 1
    delivered = [message.message_id() for message in receive_all(consumer, 20)]
    assert [(m.ledger_id(), m.entry_id()) for m in delivered] == [
        (m.ledger_id(), m.entry_id()) for m in ids
    ]


def test_the_largest_message_passes_and_a_larger_one_is_refused(client, topic):
    consumer = client.subscribe(topic, "s")
    producer = client.create_producer(topic, batching_enabled=False)
    payload = bytes(5 * 1024 * 1024 - 4096)
    producer.send(payload, properties={"large": "p" * 2000})
    assert consumer.receive(TIMEOUT).data() == payload
    with pytest.raises(pulsar.MessageTooBig):
        producer.send(bytes(5 * 1024 * 1024 + 1))


def test_chunks_are_put_together(client, topic):
    consumer = client.subscribe(topic, "s")
    producer = client.create_producer(topic, batching_enabled=False, chunking_enabled=True)
    payload = bytes(range(256)) * (12 * 4096)
    producer.send(payload)
    assert consumer.receive(TIMEOUT).data() == payload


def test_exclusive_is_exclusive(client, topic):
    consumer = client.subscribe(topic, "s", pulsar.ConsumerType.Exclusive)
    with pytest.raises(pulsar.ConsumerBusy):
        client.subscribe(topic, "s", pulsar.ConsumerType.Exclusive)
    consumer.close()
    client.subscribe(topic, "s", pulsar.ConsumerType.Shared)


def test_shared_spreads_and_gives_on_what_a_closed_consumer_held(client, topic):
    first = client.subscribe(topic, "s", pulsar.ConsumerType.Shared, receiver_queue_size=10)
    second = client.subscribe(topic, "s", pulsar.ConsumerType.Shared, receiver_queue_size=10)
    producer = client.create_producer(topic, batching_enabled=False)
    for n in range(20):
        producer.send(str(n).encode())
    held = {message.data() for message in receive_all(first, 10, ack=False)}
    own = {message.data() for message in receive_all(second, 10)}
    assert len(held) == 10 and len(own) == 10 and not held & own
    first.close()
    again = {message.data() for message in receive_all(second, 10)}
    assert again == held
    nothing_more(second)


def test_failover_has_one_active_consumer_and_hands_over_in_order(client, topic):
    first = client.subscribe(topic, "s", pulsar.ConsumerType.Failover, consumer_name="a")
    second = client.subscribe(topic, "s", pulsar.ConsumerType.Failover, consumer_name="b")
    producer = client.create_producer(topic, batching_enabled=False)
    for n in range(10):
        producer.send(str(n).encode())
    held = receive_all(first, 10, ack=False)
    nothing_more(second)
    for message in held[:4]:
        first.acknowledge(message)
    first.close()
    rest = [message.data() for message in receive_all(second, 6)]
    assert rest == [str(n).encode() for n in range(4, 10)]


def test_key_shared_keeps_a_key_at_one_consumer(client, topic):
    consumers = [client.subscribe(topic, "s", pulsar.ConsumerType.KeyShared) for _ in range(2)]
    producer = client.create_producer(topic, batching_enabled=False)
    for n in range(60):
        producer.send(str(n).encode(), partition_key=f"k{n % 12}")
    seen = {}
    total = 0
    for index, consumer in enumerate(consumers):
        while True:
            try:
                message = consumer.receive(1000)
            except pulsar.Timeout:
                break
            consumer.acknowledge(message)
            total += 1
            owner, last = seen.get(message.partition_key(), (index, -1))
            assert owner == index and last < int(message.data())
            seen[message.partition_key()] = (index, int(message.data()))
    assert total == 60
    assert {owner for owner, _ in seen.values()} == {0, 1}


def test_nack_delivers_again_and_counts(client, topic):
    consumer = client.subscribe(
        topic, "s", pulsar.ConsumerType.Shared, negative_ack_redelivery_delay_ms=100
    )
    producer = client.create_producer(topic, batching_enabled=False)
    producer.send(b"again")
    for count in range(3):
        message = consumer.receive(TIMEOUT)
        assert message.redelivery_count() == count
        consumer.negative_acknowledge(message)
    consumer.acknowledge(consumer.receive(TIMEOUT))
    nothing_more(consumer)


def test_cumulative_ack_and_what_is_left_after_a_reconnect(client, topic):
    consumer = client.subscribe(topic, "s")
    producer = client.create_producer(topic, batching_enabled=False)
    for n in range(10):
        producer.send(str(n).encode())
    messages = receive_all(consumer, 10, ack=False)
    consumer.acknowledge_cumulative(messages[5])
    consumer.acknowledge(messages[8])
    consumer.close()
    consumer = client.subscribe(topic, "s")
    assert [m.data() for m in receive_all(consumer, 3)] == [b"6", b"7", b"9"]
    nothing_more(consumer)


def test_batch_index_acks_survive_a_reconnect(client, topic):
    def subscribe():
        return client.subscribe(
            topic, "s", pulsar.ConsumerType.Shared, batch_index_ack_enabled=True
        )

    consumer = subscribe()
    producer = client.create_producer(
        topic, batching_enabled=True, batching_max_messages=10, batching_max_publish_delay_ms=5000
    )
    for n in range(10):
        producer.send_async(str(n).encode(), None)
    producer.flush()
    messages = receive_all(consumer, 10, ack=False)
    for n in (0, 3, 4, 9):
        consumer.acknowledge(messages[n])
    consumer.close()
    consumer = subscribe()
    assert [m.data() for m in receive_all(consumer, 6)] == [b"1", b"2", b"5", b"6", b"7", b"8"]
    nothing_more(consumer)


def test_unsubscribe_forgets(client, topic):
    producer = client.create_producer(topic)
    consumer = client.subscribe(topic, "s", initial_position=pulsar.InitialPosition.Earliest)
    producer.send(b"before")
    consumer.receive(TIMEOUT)
    consumer.unsubscribe()
    consumer = client.subscribe(topic, "s")
    nothing_more(consumer)


def test_initial_positions(client, topic):
    producer = client.create_producer(topic)
    producer.send(b"before")
    latest = client.subscribe(topic, "latest")
    earliest = client.subscribe(topic, "e", initial_position=pulsar.InitialPosition.Earliest)
    producer.send(b"after")
    assert [m.data() for m in receive_all(latest, 1)] == [b"after"]
    assert [m.data() for m in receive_all(earliest, 2)] == [b"before", b"after"]


def test_partitioned_topics(client, shared_server, topic):
    path = topic.replace("persistent://", "/admin/v2/persistent/") + "/partitions"
    assert shared_server.rest("PUT", path, 3)[0] == 204
    consumer = client.subscribe(topic, "s")
    producer = client.create_producer(topic, batching_enabled=False)
    sent = {str(n).encode() for n in range(30)}
    for payload in sorted(sent):
        producer.send(payload)
    messages = receive_all(consumer, 30)
    assert {message.data() for message in messages} == sent
    assert {message.message_id().partition() for message in messages} == {0, 1, 2}
    assert client.get_topic_partitions(topic) == [f"{topic}-partition-{n}" for n in range(3)]


def test_non_persistent_topics(client, topic):
    topic = topic.replace("persistent://", "non-persistent://")
    consumer = client.subscribe(topic, "s")
    producer = client.create_producer(topic, batching_enabled=False)
    for n in range(10):
        producer.send(str(n).encode())
    assert [m.data() for m in receive_all(consumer, 10)] == [str(n).encode() for n in range(10)]


def test_a_pattern_consumer_finds_topics(client, topic):
    names = [f"{topic}-{n}" for n in range(3)]
    producers = [client.create_producer(name) for name in names]
    import re
    consumer = client.subscribe(re.compile(topic + "-.*"), "s")
    for producer, name in zip(producers, names):
        producer.send(name.encode())
    assert {m.data().decode() for m in receive_all(consumer, 3)} == set(names)


def test_delayed_messages_are_not_early(client, topic):
    import time
    consumer = client.subscribe(topic, "s", pulsar.ConsumerType.Shared)
    producer = client.create_producer(topic, batching_enabled=False)
    import datetime
    begun = time.time()
    producer.send(b"later", deliver_after=datetime.timedelta(seconds=1))
    producer.send(b"now")
    assert consumer.receive(TIMEOUT).data() == b"now"
    assert consumer.receive(TIMEOUT).data() == b"later"
    assert 1 <= time.time() - begun < 4


def test_schemas_are_stored_and_another_type_is_refused(client, shared_server, topic):
    from pulsar.schema import AvroSchema, Integer, JsonSchema, Record, String

    class Example(Record):
        a = String()
        b = Integer()

    consumer = client.subscribe(topic, "s", schema=JsonSchema(Example))
    producer = client.create_producer(topic, schema=JsonSchema(Example))
    producer.send(Example(a="x", b=3))
    assert consumer.receive(TIMEOUT).value().b == 3
    with pytest.raises(pulsar.IncompatibleSchema):
        client.create_producer(topic, schema=AvroSchema(Example))
    path = topic.replace("persistent://", "/admin/v2/schemas/") + "/schema"
    schema = shared_server.get(path)
    assert schema["type"] == "JSON" and schema["version"] == 0
