"""Policies of a namespace that act in the background, with the official Python client.

Their server looks at its topics every second.
"""

import uuid

import pulsar
import pytest
from server import Server, wait_for

TIMEOUT = 10_000


@pytest.fixture(scope="module")
def shared_server():
    with Server({"retentionCheckIntervalInSeconds": 1}) as server:
        yield server


class Namespace:
    """A namespace of its own for each test."""

    def __init__(self, server):
        self.server = server
        self.path = f"public/n-{uuid.uuid4().hex[:12]}"
        self.change("PUT", "")

    def topic(self, name):
        return f"persistent://{self.path}/{name}"

    def change(self, method, policy, value=None):
        status, text = self.server.rest(method, f"/admin/v2/namespaces/{self.path}{policy}", value)
        assert status == 204, text

    def set(self, policy, value):
        self.change("POST", f"/{policy}", value)

    def remove(self, policy):
        self.change("DELETE", f"/{policy}")

    def get(self, name, what):
        return self.server.get(f"/admin/v2/persistent/{self.path}/{name}/{what}")

    def backlog(self, name):
        return self.get(name, "stats")["subscriptions"]["s"]["msgBacklog"]

    def unload(self, name):
        path = f"/admin/v2/persistent/{self.path}/{name}/unload"
        assert self.server.rest("PUT", path)[0] == 204


@pytest.fixture
def namespace(shared_server):
    return Namespace(shared_server)


def send(client, topic, count):
    producer = client.create_producer(topic, batching_enabled=False)
    ids = [producer.send(str(n).encode()) for n in range(count)]
    producer.close()
    return ids


def read_all(reader):
    read = []
    while reader.has_message_available():
        read.append(reader.read_next(TIMEOUT).data())
    return read


def numbers(count):
    return [str(n).encode() for n in range(count)]


def test_what_is_past_its_time_leaves_the_backlog_of_a_subscription_without_consumers(client, namespace):
    topic = namespace.topic("t")
    client.subscribe(topic, "s").close()
    send(client, topic, 5)
    assert namespace.backlog("t") == 5
    namespace.set("messageTTL", 1)
    wait_for(lambda: namespace.backlog("t") == 0, what="expired")
    reader = client.create_reader(topic, pulsar.MessageId.earliest)
    assert read_all(reader) == numbers(5), "readers see it for as long as it is stored"
    consumer = client.subscribe(topic, "s")
    send(client, topic, 1)
    assert consumer.receive(TIMEOUT).data() == b"0"


def consume_and_begin_another_ledger(client, namespace, name):
    """Sends and acknowledges ten messages, which are in a closed ledger then, and one in another."""
    topic = namespace.topic(name)
    consumer = client.subscribe(topic, "s")
    ids = send(client, topic, 10)
    for _ in range(10):
        consumer.acknowledge(consumer.receive(TIMEOUT))
    wait_for(lambda: namespace.backlog(name) == 0, what="acked")
    consumer.close()
    namespace.unload(name)
    send(client, topic, 1)
    assert namespace.backlog(name) == 1
    return ids


def entries(namespace, name):
    return namespace.get(name, "internalStats")["numberOfEntries"]


def test_retention_keeps_what_everybody_has_acked(client, shared_server, namespace):
    namespace.set("retention", {"retentionTimeInMinutes": -1, "retentionSizeInMB": -1})
    consume_and_begin_another_ledger(client, namespace, "t")
    other = Namespace(shared_server)
    ids = consume_and_begin_another_ledger(client, other, "t")
    wait_for(lambda: entries(other, "t") == 1, what="trimmed without retention")
    for start in [pulsar.MessageId.earliest, ids[0]]:
        reader = client.create_reader(other.topic("t"), start)
        assert read_all(reader) == numbers(1), "what is left"
    assert entries(namespace, "t") == 11
    reader = client.create_reader(namespace.topic("t"), pulsar.MessageId.earliest)
    assert read_all(reader) == numbers(10) + numbers(1)
    namespace.remove("retention")
    wait_for(lambda: entries(namespace, "t") == 1, what="trimmed once retention is gone")


def set_age_quota(namespace, policy):
    quota = {"policy": policy, "limitTime": 1}
    namespace.set("backlogQuota?backlogQuotaType=message_age", quota)


@pytest.mark.parametrize("policy, error", [
    ("producer_request_hold", pulsar.ProducerBlockedQuotaExceededError),
    ("producer_exception", pulsar.ProducerBlockedQuotaExceededException),
])
def test_an_old_backlog_refuses_producers_until_it_is_acked(
    new_client, shared_server, namespace, policy, error
):
    set_age_quota(namespace, policy)
    topic = namespace.topic("t")
    client = new_client(shared_server, operation_timeout_seconds=1)
    consumer = client.subscribe(topic, "s")
    send(client, topic, 1)

    def is_refused():
        try:
            client.create_producer(topic).close()
            return False
        except error:
            return True

    wait_for(is_refused, what="refused")
    consumer.acknowledge(consumer.receive(TIMEOUT))
    wait_for(lambda: not is_refused(), what="taken again")


def test_an_old_backlog_is_evicted(client, namespace):
    set_age_quota(namespace, "consumer_backlog_eviction")
    topic = namespace.topic("t")
    client.subscribe(topic, "s").close()
    send(client, topic, 3)
    wait_for(lambda: namespace.backlog("t") == 0, what="evicted")


def test_the_last_size_quota_counts(new_client, shared_server, namespace):
    topic = namespace.topic("t")
    client = new_client(shared_server, operation_timeout_seconds=1)
    client.subscribe(topic, "s")
    producer = client.create_producer(topic, batching_enabled=False)
    producer.send(bytes(2048))
    producer.close()
    errors = {
        "producer_request_hold": pulsar.ProducerBlockedQuotaExceededError,
        "producer_exception": pulsar.ProducerBlockedQuotaExceededException,
    }
    for policy, error in errors.items():
        namespace.set("backlogQuota", {"policy": policy, "limitSize": 1024})

        def refusal():
            try:
                client.create_producer(topic).close()
            except pulsar.PulsarException as refused:
                return type(refused)

        wait_for(lambda: refusal() == error, what=policy)
    namespace.remove("backlogQuota")
    wait_for(lambda: refusal() is None, what="taken again")


def subscribes(client, topic, name, kind=pulsar.ConsumerType.Exclusive):
    """Whether a consumer may come; it goes again."""
    try:
        client.subscribe(topic, name, consumer_type=kind, consumer_name="c").close()
        return True
    except pulsar.NotAllowedError:
        return False


def test_types_of_subscriptions_are_enabled_at_each_level(client, namespace):
    topic = namespace.topic("t")
    send(client, topic, 1)
    shared = pulsar.ConsumerType.Shared
    namespace.set("subscriptionTypesEnabled", ["Shared"])
    assert not subscribes(client, topic, "s")
    assert subscribes(client, topic, "s", shared)
    of_topic = f"/admin/v2/persistent/{namespace.path}/t/subscriptionTypesEnabled"
    assert namespace.server.rest("POST", of_topic, ["Exclusive"])[0] == 204
    assert subscribes(client, topic, "s")
    assert not subscribes(client, topic, "s", shared)
    assert namespace.server.rest("DELETE", of_topic)[0] == 204
    assert not subscribes(client, topic, "s")
    namespace.remove("subscriptionTypesEnabled")
    assert subscribes(client, topic, "s")


def test_subscriptions_come_into_being_as_the_topic_says(client, namespace):
    topic = namespace.topic("t")
    send(client, topic, 1)
    of_topic = f"/admin/v2/persistent/{namespace.path}/t/autoSubscriptionCreation"
    given = {"allowAutoSubscriptionCreation": False}
    assert namespace.server.rest("POST", of_topic, given)[0] == 204
    with pytest.raises(pulsar.PulsarException):
        client.subscribe(topic, "s")
    assert namespace.server.rest("DELETE", of_topic)[0] == 204
    assert subscribes(client, topic, "s")
