"""Every policy at every level that it has: set, its effect seen through the official Python client,
removed, its effect gone.

A policy's probe says whether its effect is there. Those that are only kept, or whose effect is shown
elsewhere, are named, so that no policy is forgotten.
"""

import contextlib
import datetime
import itertools
import time
import uuid

import pulsar
import pytest
from pulsar.schema import JsonSchema, Record, String
from server import Server, wait_for

SOON_MS = 400
#: How long clients try again what may be refused for a while only.
REFUSED_S = 3
#: What is looked after by the second, and nothing is deleted behind a test's back.
SETTINGS = {
    "retentionCheckIntervalInSeconds": 1,
    "backlogQuotaCheckIntervalInSeconds": 1,
    "brokerServiceCompactionMonitorIntervalInSeconds": 1,
}
names = itertools.count()


class World:
    """A topic with a client."""

    def __init__(self, server, client):
        self.server, self.client = server, client
        self.namespace = f"public/n-{uuid.uuid4().hex[:12]}"
        self.rest("PUT", f"/admin/v2/namespaces/{self.namespace}")
        self.topic = f"persistent://{self.namespace}/t"
        self.of_topic = f"/admin/v2/persistent/{self.namespace}/t"
        self.rest("PUT", self.of_topic)

    def rest(self, method, path, body=None):
        status, text = self.server.rest(method, path, body)
        assert status // 100 == 2, (method, path, body, status, text)

    def of(self, level):
        return self.of_topic if level == "topic" else f"/admin/v2/namespaces/{self.namespace}"

    def in_force(self, policy):
        return self.server.get(f"{self.of_topic}/effective-policies")[policy]

    def new_name(self):
        return f"n{next(names)}"

    def send(self, count=1, **arguments):
        producer = self.client.create_producer(self.topic, batching_enabled=False)
        with contextlib.closing(producer):
            for n in range(count):
                producer.send(str(n).encode(), **arguments)

    def subscribe(self, name=None, kind=pulsar.ConsumerType.Shared):
        return self.client.subscribe(self.topic, name or self.new_name(), consumer_type=kind)


def refused(action, *arguments, **named):
    """Whether a client is told no; what it opens is closed."""
    try:
        action(*arguments, **named).close()
        return False
    except pulsar.PulsarException:
        return True


@contextlib.contextmanager
def gone_afterwards(consumer):
    try:
        yield consumer
    finally:
        consumer.unsubscribe()


def received(consumer, most):
    count = 0
    with contextlib.suppress(pulsar.Timeout):
        while count < most:
            consumer.receive(SOON_MS)
            count += 1
    return count


def no_second_producer(world):
    with contextlib.closing(world.client.create_producer(world.topic)):
        return refused(world.client.create_producer, world.topic)


def no_second_consumer(world):
    with gone_afterwards(world.subscribe("s")):
        return refused(world.subscribe, "s")


def no_second_subscription(world):
    with gone_afterwards(world.subscribe("s")):
        return takes_no_new_subscription(world)


def holds_back_unacked(world):
    with gone_afterwards(world.subscribe()) as consumer:
        world.send(50)
        return received(consumer, 50) < 50


def drops_what_comes_twice(world):
    with gone_afterwards(world.subscribe()) as consumer:
        producer = world.client.create_producer(world.topic, world.new_name(), batching_enabled=False)
        with contextlib.closing(producer):
            for _ in range(2):
                producer.send(b"x", sequence_id=7)
        return received(consumer, 2) == 1


def delays_nothing(world):
    with gone_afterwards(world.subscribe()) as consumer:
        world.send(deliver_after=datetime.timedelta(seconds=30))
        return received(consumer, 1) == 1


def seconds(action, *arguments):
    began = time.monotonic()
    action(*arguments)
    return time.monotonic() - began


def publishes_slowly(world):
    return seconds(world.send, 12) > 0.9


def delivers_slowly(world):
    with gone_afterwards(world.subscribe()) as consumer:
        world.send(12)
        return seconds(lambda: [consumer.receive(10_000) for _ in range(12)]) > 0.9


def expires(world):
    name = world.new_name()
    world.subscribe(name).close()
    world.send()
    time.sleep(1.1)  # What expires has to grow old.
    with gone_afterwards(world.subscribe(name)) as consumer:
        return received(consumer, 1) == 0


def keeps_what_is_acked(world):
    with contextlib.closing(world.subscribe("s", pulsar.ConsumerType.Exclusive)) as consumer:
        world.send(5)
        for _ in range(5):
            consumer.acknowledge(consumer.receive(10_000))
    world.rest("PUT", f"{world.of_topic}/unload")
    world.send()
    with contextlib.closing(world.subscribe("s", pulsar.ConsumerType.Exclusive)) as consumer:
        consumer.acknowledge(consumer.receive(10_000))
    world.rest("PUT", f"{world.of_topic}/unload")
    world.send()
    world.rest("POST", f"{world.of_topic}/subscription/s/skip_all")
    deadline = time.monotonic() + 2.5
    while time.monotonic() < deadline:
        reader = world.client.create_reader(world.topic, pulsar.MessageId.earliest)
        with contextlib.closing(reader):
            count = 0
            while reader.has_message_available():
                reader.read_next(10_000)
                count += 1
            if count <= 1:
                return False
        time.sleep(0.1)
    return True


def compacts_by_itself(world):
    key = world.new_name()
    world.send(3, partition_key=key)
    deadline = time.monotonic() + 2.5
    while time.monotonic() < deadline:
        reader = world.client.create_reader(
            world.topic, pulsar.MessageId.earliest, is_read_compacted=True)
        with contextlib.closing(reader):
            count = 0
            while reader.has_message_available():
                count += reader.read_next(10_000).partition_key() == key
            if count == 1:
                return True
        time.sleep(0.1)
    return False


def has_a_backlog(world):
    world.subscribe("kept").close()
    producer = world.client.create_producer(world.topic)
    with contextlib.closing(producer):
        producer.send(bytes(4096))


def takes_no_producer(world):
    return refused(world.client.create_producer, world.topic)


def takes_no_new_topic(world):
    name = world.new_name()
    if refused(world.client.create_producer, f"persistent://{world.namespace}/{name}"):
        return True
    world.rest("DELETE", f"/admin/v2/persistent/{world.namespace}/{name}?force=true")
    return False


def takes_no_new_subscription(world):
    try:
        world.subscribe().unsubscribe()
        return False
    except pulsar.PulsarException:
        return True


def takes_shared_only(world):
    assert not refused(world.subscribe, "s", pulsar.ConsumerType.Shared)
    return refused(world.subscribe, "s", pulsar.ConsumerType.Exclusive)


def schema(name):
    """Of records with a field that they must have: none of two is compatible with the other."""
    return JsonSchema(type("R", (Record,), {name: String(required=True)}))


def has_a_schema(world):
    world.client.create_producer(world.topic, schema=schema("a")).close()


def takes_any_schema(world):
    return not refused(world.client.create_producer, world.topic, schema=schema(world.new_name()))


def takes_anything_new(world):
    world.rest("PUT", f"{world.of('namespace')}/schemaCompatibilityStrategy", "ALWAYS_COMPATIBLE")


def takes_no_new_schema(world):
    return refused(world.client.create_producer, world.topic, schema=schema(world.new_name()))


def nothing(_world):
    pass


class Policy:
    """How a policy is set and removed, by level, and what shows that it acts."""

    def __init__(self, name, probe, value, broker=None, namespace="", topic="", *, prepare=nothing, method="POST", off=None):
        self.name, self.probe, self.value, self.prepare = name, probe, value, prepare
        self.settings, self.off = broker, off
        self.methods = {"namespace": method, "topic": "PUT" if name == "schemaCompatibilityStrategy" else "POST"}
        self.paths = {"namespace": name if namespace == "" else namespace, "topic": name if topic == "" else topic}

    def levels(self):
        yield from ["broker"] * (self.settings is not None)
        yield from (level for level, path in self.paths.items() if path)

    def set(self, world, level):
        world.rest(self.methods[level], f"{world.of(level)}/{self.paths[level]}", self.value)

    def remove(self, world, level):
        path = f"{world.of(level)}/{self.paths[level]}"
        if level == "namespace" and self.off is not None:
            world.rest(self.methods[level], path, self.off)
        else:
            world.rest("DELETE", path)


DISPATCH = {"dispatchThrottlingRateInMsg": 5, "dispatchThrottlingRateInByte": -1, "ratePeriodInSecond": 1}
QUOTA = {"limitSize": 1024, "limitTime": -1, "policy": "producer_exception"}
POLICIES = [
    Policy("maxProducers", no_second_producer, 1, {"maxProducersPerTopic": 1}, "maxProducersPerTopic"),
    Policy("maxConsumers", no_second_consumer, 1, {"maxConsumersPerTopic": 1}, "maxConsumersPerTopic"),
    Policy("maxConsumersPerSubscription", no_second_consumer, 1, {"maxConsumersPerSubscription": 1}),
    Policy("maxSubscriptionsPerTopic", no_second_subscription, 1, {"maxSubscriptionsPerTopic": 1}),
    Policy("maxUnackedMessagesOnConsumer", holds_back_unacked, 2, {"maxUnackedMessagesPerConsumer": 2},
           "maxUnackedMessagesPerConsumer"),
    Policy("maxUnackedMessagesOnSubscription", holds_back_unacked, 2,
           {"maxUnackedMessagesPerSubscription": 2}, "maxUnackedMessagesPerSubscription"),
    Policy("deduplicationEnabled", drops_what_comes_twice, True, {"brokerDeduplicationEnabled": "true"},
           "deduplication"),
    Policy("delayedDelivery", delays_nothing, {"active": False, "tickTime": 1000},
           {"delayedDeliveryEnabled": "false"}),
    Policy("publishRate", publishes_slowly, {"publishThrottlingRateInMsg": 5, "publishThrottlingRateInByte": -1},
           {"maxPublishRatePerTopicInMessages": 5}),
    Policy("dispatchRate", delivers_slowly, DISPATCH, {"dispatchThrottlingRatePerTopicInMsg": 5}),
    Policy("subscriptionDispatchRate", delivers_slowly, DISPATCH,
           {"dispatchThrottlingRatePerSubscriptionInMsg": 5}),
    Policy("messageTTL", expires, 1, {"ttlDurationDefaultInSeconds": 1}, topic="messageTTL?messageTTL=1"),
    Policy("retention", keeps_what_is_acked, {"retentionTimeInMinutes": -1, "retentionSizeInMB": -1},
           {"defaultRetentionTimeInMinutes": -1, "defaultRetentionSizeInMB": -1}),
    Policy("compactionThreshold", compacts_by_itself, 1, {"brokerServiceCompactionThresholdInBytes": 1},
           method="PUT"),
    Policy("backlogQuotaMap", takes_no_producer, QUOTA,
           {"backlogQuotaDefaultLimitBytes": 1024, "backlogQuotaDefaultRetentionPolicy": "producer_exception"},
           "backlogQuota", "backlogQuota", prepare=has_a_backlog),
    Policy("autoTopicCreation", takes_no_new_topic, {"allowAutoTopicCreation": False},
           {"allowAutoTopicCreation": "false"}, topic=None),
    Policy("autoSubscriptionCreation", takes_no_new_subscription, {"allowAutoSubscriptionCreation": False},
           {"allowAutoSubscriptionCreation": "false"}),
    Policy("maxTopicsPerNamespace", takes_no_new_topic, 1, {"maxTopicsPerNamespace": 1}, topic=None),
    Policy("subscriptionTypesEnabled", takes_shared_only, ["Shared"], {"subscriptionTypesEnabled": "Shared"}),
    Policy("schemaCompatibilityStrategy", takes_any_schema, "ALWAYS_COMPATIBLE",
           {"schemaCompatibilityStrategy": "ALWAYS_COMPATIBLE"}, prepare=has_a_schema, method="PUT", off="UNDEFINED"),
    Policy("schemaValidationEnforced", takes_no_producer, True, {"isSchemaValidationEnforced": "true"},
           prepare=has_a_schema, off=False),
    Policy("isAllowAutoUpdateSchema", takes_no_new_schema, False, {"isAllowAutoUpdateSchemaEnabled": "false"},
           topic=None, prepare=takes_anything_new, off=True),
    Policy("encryptionRequired", takes_no_producer, True, {"encryptionRequireOnProducer": "true"},
           topic=None, off=False),
]
#: Kept and shown; and where that, or the effect, is shown.
ELSEWHERE = {
    "replication": "http/permissions: kept, nothing is replicated",
    "persistence": "java/admin: kept, one bookie has everything",
    "replicatorDispatchRate": "java/admin: kept, nothing is replicated",
    "entryFilters": "java/admin: kept, there are none to load",
    "offloadPolicies": "java/admin: kept, nothing is offloaded",
    "offloadThreshold": "java/admin: kept, nothing is offloaded",
    "offloadThresholdInSeconds": "java/admin: kept, nothing is offloaded",
    "dispatcherPauseOnAckStatePersistent": "java/admin: kept",
    "subscriptionAuthMode": "java/admin: kept, there is no authorization",
    "subscribeRate": "topic/topic_policies: a new consumer of a client is another one, so only its return meets it",
    "maxMessageSize": "java/TopicPoliciesTest",
    "inactiveTopicPolicies": "topic/inactive",
    "subscriptionExpirationTime": "topic: by the minute, on a simulated clock",
    "deduplicationSnapshotInterval": "topic/topic_policies: what it changes no client sees",
}
CASES = [(policy, level) for policy in POLICIES for level in policy.levels()]


@pytest.fixture(scope="module")
def shared():
    with Server(SETTINGS) as server:
        yield server


@pytest.mark.parametrize("policy, level", CASES, ids=lambda it: it if isinstance(it, str) else it.name)
def test_policy(request, policy, level, new_client):
    if level == "broker":
        with Server({**SETTINGS, **policy.settings}) as server:
            world = World(server, new_client(server, operation_timeout_seconds=REFUSED_S))
            policy.prepare(world)
            wait_for(lambda: policy.probe(world), what="effect")
            for key in policy.settings:
                del server.settings[key]
            server.restart()
            wait_for(lambda: not policy.probe(world), what="no effect any more")
        return
    server = request.getfixturevalue("shared")
    world = World(server, new_client(server, operation_timeout_seconds=REFUSED_S))
    policy.prepare(world)
    wait_for(lambda: not policy.probe(world), what="no effect yet")
    assert world.in_force(policy.name)["level"] == "broker"
    policy.set(world, level)
    wait_for(lambda: policy.probe(world), what="effect")
    if policy.name != "backlogQuotaMap":
        assert world.in_force(policy.name)["level"] == level
    policy.remove(world, level)
    wait_for(lambda: not policy.probe(world), what="no effect any more")


def test_no_policy_is_forgotten(shared, new_client):
    world = World(shared, new_client(shared))
    known = set(shared.get(f"{world.of_topic}/effective-policies"))
    assert known == {policy.name for policy in POLICIES} | set(ELSEWHERE)
