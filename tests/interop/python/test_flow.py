"""Consumers that take no more than they ask for, with the official Python client."""

import queue
import threading

import pulsar

TIMEOUT_SECONDS = 20


def take(consumer):
    """A zero-queue consumer cannot wait for a time only: another thread waits for ever."""
    taken = queue.Queue()
    threading.Thread(target=lambda: taken.put(consumer.receive()), daemon=True).start()
    return taken.get(timeout=TIMEOUT_SECONDS)


def test_zero_queue_consumers_leave_each_other_the_rest(client, topic):
    consumers = [
        client.subscribe(topic, "s", pulsar.ConsumerType.Shared, receiver_queue_size=0)
        for _ in range(2)
    ]
    producer = client.create_producer(topic, batching_enabled=False)
    for n in range(10):
        producer.send(str(n).encode())
    taken = [take(consumers[0])] + [take(consumers[1]) for _ in range(9)]
    assert {message.data() for message in taken} == {str(n).encode() for n in range(10)}


def test_a_zero_queue_consumer_is_sent_one_for_each_receive(client, shared_server, topic):
    consumer = client.subscribe(topic, "s", receiver_queue_size=0)
    producer = client.create_producer(topic, batching_enabled=False)
    path = f"/admin/v2/{topic.replace('://', '/')}/stats"
    for n in range(5):
        producer.send(str(n).encode())
    for n in range(5):
        assert shared_server.get(path)["subscriptions"]["s"]["msgOutCounter"] == n
        assert take(consumer).data() == str(n).encode()
