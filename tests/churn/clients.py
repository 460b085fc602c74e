"""The processes of a churn round: consumers and producers with the official client.

Each writes down what it does, one line for each event, with the monotonic clock that all processes of
the machine share. What could free a message (an ack, a nack, a close) is written before it is done;
what was got (a message, an answer) after. So a process that is killed between the two is never thought
to have held something longer, or to have had it earlier, than it did.

Consumer: `S t` subscribes, `O t` is subscribed, `r t ledger entry index count producer n` received,
`a t ledger entry index count` acks, `n t ledger entry index count` nacks, `i t` finds nothing in its
queue, `c t` closes, `C t` is closed. Producer: `s t n key` sends, `R t n ledger entry index` has the
receipt, `X t n result` has none.
"""

import heapq
import os
import random
import signal
import time
from dataclasses import dataclass

import pulsar

SUBSCRIPTION = "churn"
KEYS = 10_000
NACKED = 0.03
NACKS_MAX = 3
# Finding nothing is written down so often at most, in nanoseconds.
IDLE_NOTES = 20_000_000


@dataclass
class Terms:
    """What all consumers of a round have in common."""

    url: str
    topic: str
    type: str
    index_acks: bool
    # While this file exists, nobody looks away.
    calm_flag: str


@dataclass
class Orders:
    """What one consumer is to do."""

    name: str
    queue: int
    seed: int
    # Whether it now and then looks away.
    naps: bool
    # Stretches its work.
    slowness: float
    log: str


def now():
    return time.monotonic_ns()


class Notes:
    """A log that keeps each line from the moment it is written, whatever happens to the process."""

    def __init__(self, path):
        self.file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def write(self, *words):
        os.write(self.file, (" ".join(map(str, words)) + "\n").encode())


class Consumer:
    """Receives at once whatever comes, and acks or nacks it after some time, in any order."""

    def __init__(self, terms, orders):
        self.terms, self.orders = terms, orders
        self.random = random.Random(orders.seed)
        self.notes = Notes(orders.log)
        # (when, number, kind, message, where)
        self.due = []
        self.planned = 0
        # Delivery → whether its first message is nacked, and whether the others are acked then.
        self.plans = {}
        self.noted_idle = 0
        self.next_nap = now() + self.nap_pause()
        self.is_asked_to_close = False

    def run(self):
        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "is_asked_to_close", True))
        logger = pulsar.FileLogger(pulsar.LoggerLevel.Info, self.orders.log + ".client")
        client = pulsar.Client(self.terms.url, logger=logger, stats_interval_in_seconds=0)
        self.notes.write("S", now())
        self.consumer = client.subscribe(
            self.terms.topic, SUBSCRIPTION, getattr(pulsar.ConsumerType, self.terms.type),
            consumer_name=self.orders.name, receiver_queue_size=self.orders.queue,
            negative_ack_redelivery_delay_ms=100, batch_index_ack_enabled=self.terms.index_acks,
        )
        self.notes.write("O", now())
        while not self.is_asked_to_close:
            self.do_what_is_due()
            self.receive()
            self.nap()
        self.notes.write("c", now())
        self.consumer.close()
        self.notes.write("C", now())
        client.close()

    def receive(self):
        wait = 20 if not self.due else (self.due[0][0] - now()) // 1_000_000
        began = now()
        try:
            message = self.consumer.receive(timeout_millis=int(max(1, min(20, wait))))
        except pulsar.Timeout:
            # What had been in the queue at `began` would have been returned.
            if self.noted_idle + IDLE_NOTES <= began:
                self.noted_idle = began
                self.notes.write("i", began)
            return
        received = now()
        message_id, count = message.message_id(), message.redelivery_count()
        index = max(message_id.batch_index(), 0)
        where = f"{message_id.ledger_id()} {message_id.entry_id()} {index} {count}"
        producer, number, _ = message.data().decode().split(" ", 2)
        self.notes.write("r", received, where, producer, number)
        self.plan(received, message, (message_id.ledger_id(), message_id.entry_id(), count), where)

    def plan(self, received, message, delivery, where):
        """One nack for a delivery at most: so each redelivery has one cause."""
        is_first = delivery not in self.plans
        if is_first:
            nacks = delivery[2] < NACKS_MAX and self.random.random() < NACKED
            self.plans[delivery] = (nacks, self.random.random() < 0.5)
        nacks, acks_others = self.plans[delivery]
        if is_first or not nacks or acks_others:
            when = received + int(self.hold_seconds() * 1e9)
            kind = "n" if nacks and is_first else "a"
            self.planned += 1
            heapq.heappush(self.due, (when, self.planned, kind, message, where))

    def hold_seconds(self):
        kind = self.random.random()
        if kind < 0.7:
            seconds = self.random.uniform(0, 0.02)
        elif kind < 0.95:
            seconds = self.random.uniform(0.02, 0.2)
        else:
            seconds = self.random.uniform(0.2, 1.2)
        return seconds * self.orders.slowness

    def do_what_is_due(self):
        while self.due and self.due[0][0] <= now():
            _, _, kind, message, where = heapq.heappop(self.due)
            self.notes.write(kind, now(), where)
            if kind == "n":
                self.consumer.negative_acknowledge(message)
            else:
                self.consumer.acknowledge(message)

    def nap_pause(self):
        return int(self.random.uniform(0.3, 2) * 1e9)

    def nap(self):
        """Looks away: messages wait in the queue, permits run out, acks are late."""
        if self.orders.naps and self.next_nap <= now() and not os.path.exists(self.terms.calm_flag):
            time.sleep(self.random.uniform(0.1, 0.8))
            self.next_nap = now() + self.nap_pause()


def consume(terms, orders):
    Consumer(terms, orders).run()


def any_key(randomness):
    """Half of them anywhere, the rest on few keys, so that many messages of a key are out at a time."""
    kind = randomness.random()
    keys = KEYS if kind < 0.5 else 300 if kind < 0.9 else 10
    return f"key-{randomness.randrange(keys)}"


def produce(url, topic, rate, seed, folder):
    """Two producers, one with batches of mixed keys and one with a batch for each key.

    Pauses while the file `pause` is in `folder`, and ends when `stop` is.
    """
    randomness = random.Random(seed)
    client = pulsar.Client(
        url, logger=pulsar.ConsoleLogger(pulsar.LoggerLevel.Error), stats_interval_in_seconds=0
    )
    producers = {
        "mixed": client.create_producer(
            topic, producer_name="mixed", batching_enabled=True, batching_max_messages=12,
            batching_max_publish_delay_ms=8, block_if_queue_full=True, send_timeout_millis=0,
        ),
        "keyed": client.create_producer(
            topic, producer_name="keyed", batching_enabled=True, batching_max_messages=200,
            batching_max_publish_delay_ms=25, batching_type=pulsar.BatchingType.KeyBased,
            block_if_queue_full=True, send_timeout_millis=0,
        ),
    }
    lines = {name: [] for name in producers}
    numbers = {name: 0 for name in producers}

    def send(name):
        number, key, note = numbers[name], any_key(randomness), lines[name].append
        numbers[name] += 1

        def answered(result, message_id):
            if result == pulsar.Result.Ok:
                index = max(message_id.batch_index(), 0)
                where = f"{message_id.ledger_id()} {message_id.entry_id()} {index}"
                note(f"R {now()} {number} {where}")
            else:
                note(f"X {now()} {number} {result}")

        note(f"s {now()} {number} {key}")
        producers[name].send_async(f"{name} {number} ".encode(), answered, partition_key=key)

    sent, began = 0, time.monotonic()
    while not os.path.exists(f"{folder}/stop"):
        time.sleep(randomness.uniform(0, 0.02))
        if os.path.exists(f"{folder}/pause"):
            sent, began = 0, time.monotonic()
            continue
        while sent < rate * (time.monotonic() - began):
            send("mixed" if randomness.random() < 0.5 else "keyed")
            sent += 1
    for producer in producers.values():
        producer.flush()
    client.close()
    for name, written in lines.items():
        with open(f"{folder}/{name}.producer", "w", encoding="ascii") as log:
            log.writelines(line + "\n" for line in written)
