"""Topics and partitions that come, change and go, with the official Python client.

Their server creates topics with two partitions by their being used.
"""

import uuid

import pulsar
import pytest
from server import Server, wait_for

TIMEOUT = 10_000


@pytest.fixture(scope="module")
def shared_server():
    configuration = {"allowAutoTopicCreationType": "partitioned", "defaultNumPartitions": 2}
    with Server(configuration) as server:
        yield server


@pytest.fixture
def namespace(shared_server):
    path = f"public/n-{uuid.uuid4().hex[:12]}"
    change(shared_server, "PUT", f"/namespaces/{path}")
    return path


def change(server, method, path, value=None):
    status, text = server.rest(method, f"/admin/v2{path}", value)
    assert status == 204, text


def set_creation(server, namespace, value):
    change(server, "POST", f"/namespaces/{namespace}/autoTopicCreation", value)


def test_topics_come_with_partitions_and_these_grow(shared_server, client, namespace):
    topic = f"persistent://{namespace}/t"
    assert client.get_topic_partitions(topic) == [f"{topic}-partition-{index}" for index in range(2)]
    consumer = client.subscribe(topic, "s", initial_position=pulsar.InitialPosition.Earliest)
    for part in range(4):
        if part == 2:
            with pytest.raises(pulsar.TopicNotFound):
                client.create_producer(f"{topic}-partition-2")
            change(shared_server, "POST", f"/persistent/{namespace}/t/partitions", 4)
        producer = client.create_producer(f"{topic}-partition-{part}")
        producer.send(str(part).encode())
        producer.close()
    # What was sent before the consumer knew of the new partitions is there, too.
    consumer.close()
    consumer = client.subscribe(topic, "s")
    assert sorted(consumer.receive(TIMEOUT).data() for _ in range(4)) == [b"0", b"1", b"2", b"3"]


def test_topics_come_only_where_they_may(shared_server, client, namespace):
    set_creation(shared_server, namespace, {"allowAutoTopicCreation": False})
    for topic in [f"{domain}://{namespace}/t" for domain in ("persistent", "non-persistent")]:
        with pytest.raises(pulsar.TopicNotFound):
            client.create_producer(topic)
        with pytest.raises(pulsar.TopicNotFound):
            client.subscribe(topic, "s")
    plain = {"allowAutoTopicCreation": True, "topicType": "non-partitioned"}
    set_creation(shared_server, namespace, plain)
    client.create_producer(f"persistent://{namespace}/t").close()
    change(shared_server, "DELETE", f"/namespaces/{namespace}/autoTopicCreation")
    assert client.get_topic_partitions(f"persistent://{namespace}/t") == [f"persistent://{namespace}/t"]
    assert len(client.get_topic_partitions(f"persistent://{namespace}/u")) == 2


def test_a_topic_that_was_deleted_by_force_does_not_come_back(shared_server, client, namespace):
    topic = f"persistent://{namespace}/t"
    producer = client.create_producer(topic)
    consumer = client.subscribe(topic, "s")
    producer.send(b"m")
    set_creation(shared_server, namespace, {"allowAutoTopicCreation": False})
    change(shared_server, "DELETE", f"/persistent/{namespace}/t/partitions?force=true")
    wait_for(lambda: not producer.is_connected() and not consumer.is_connected())
    status, listed = shared_server.rest("GET", f"/admin/v2/persistent/{namespace}")
    assert (status, listed) == (200, "[]")


def test_a_truncated_topic_has_only_what_comes_later(shared_server, client, namespace):
    topic = f"persistent://{namespace}/t"
    change(shared_server, "POST", f"/namespaces/{namespace}/retention",
           {"retentionTimeInMinutes": -1, "retentionSizeInMB": -1})
    producer = client.create_producer(topic)
    for number in range(10):
        producer.send(str(number).encode())
    change(shared_server, "DELETE", f"/persistent/{namespace}/t/truncate")
    producer.send(b"later")
    reader = client.create_reader(topic, pulsar.MessageId.earliest)
    assert reader.read_next(TIMEOUT).data() == b"later"
    assert not reader.has_message_available()
