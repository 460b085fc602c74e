"""What happened in a round, read from what its processes wrote.

An *entry* is what one SEND stored. Its key is that of its first message: clients put it into the
metadata of the whole batch, and brokers look at nothing else. A *life* is one consumer, from its
SUBSCRIBE to its end. A *delivery* is one entry at one life with one redelivery count. All times are
of the machine's one monotonic clock, in nanoseconds.
"""

from collections import defaultdict

NEVER = 1 << 62
SLOTS = 1 << 16


class Malformed(Exception):
    """The logs do not fit together: somebody lost a receipt, mixed up messages, or sent one twice."""


class Entry:
    """What was stored by one SEND."""

    def __init__(self, position):
        self.position = position
        # Index in the batch → (producer, number, key).
        self.messages = {}
        # When the last of its messages was sent, and when the receipt was here.
        self.sent = self.receipted = 0
        # In the order in which they were received.
        self.deliveries = []
        # Index in the batch → (when, life) of each ack.
        self.acks = defaultdict(list)

    @property
    def size(self):
        return len(self.messages)

    @property
    def key(self):
        return self.messages[0][2]


class Delivery:
    """An entry at a consumer, from its first message on."""

    def __init__(self, life, entry, count, first, number):
        self.life, self.entry, self.count, self.first, self.number = life, entry, count, first, number
        self.indexes = set()
        # Index in the batch → when it was acked.
        self.acks = {}
        self.nack = NEVER
        # It was handed out by the broker after this.
        self.floor = 0


class Life:
    """One consumer, until it is closed or killed."""

    def __init__(self, name):
        self.name = name
        self.started = self.opened = self.ended = self.closed = NEVER
        self.idle = []
        self.deliveries = {}
        # Position → its deliveries, in the order in which they came.
        self.had = defaultdict(list)


class Round:
    """All that is known of a round."""

    def __init__(self, index_acks):
        self.index_acks = index_acks
        self.entries = {}
        self.lives = []
        # From when to when no consumer came or went, by those who sent them.
        self.calms = []
        # Positions in the order of the sends, by producer and, if its batches are by key, key.
        self.sends = defaultdict(list)

    def by_key(self):
        """The entries of each key, in the order in which they were stored."""
        keys = defaultdict(list)
        for position in sorted(self.entries):
            entry = self.entries[position]
            keys[entry.key].append(entry)
        return keys


def read_producer(lines, name, into):
    """Takes what a producer wrote. `mixed` batches follow all its sends, `keyed` ones those of a key."""
    sent, answered = {}, {}
    for line in lines:
        kind, when, number, *rest = line.split()
        if kind == "s":
            sent[int(number)] = (int(when), rest[0])
        elif kind == "R":
            answered[int(number)] = (int(when), tuple(map(int, rest)))
        else:
            raise Malformed(f"{name} {number}: {' '.join(rest)}")
    if sent.keys() != answered.keys():
        raise Malformed(f"{name}: no receipt for {sorted(sent.keys() - answered.keys())[:5]}")
    for number, (when, key) in sorted(sent.items()):
        receipted, (ledger, entry_id, index) = answered[number]
        entry = into.entries.setdefault((ledger, entry_id), Entry((ledger, entry_id)))
        if index in entry.messages:
            raise Malformed(f"two messages have the id {entry.position}, {index}")
        entry.messages[index] = (name, number, key)
        entry.sent = max(entry.sent, when)
        entry.receipted = max(entry.receipted, receipted)
        into.sends[name, key if name == "keyed" else None].append((entry.position, index))


def read_consumer(lines, name, killed, into):
    """Takes what a consumer wrote; `killed` is when it was, or `NEVER`."""
    life = Life(name)
    life.ended = killed
    for line in lines:
        kind, when, *rest = line.split()
        when = int(when)
        if kind == "r":
            received(life, when, rest, into)
        elif kind in "an":
            ledger, entry_id, index, count = map(int, rest)
            delivery = life.deliveries[(ledger, entry_id), count]
            if kind == "n":
                delivery.nack = min(delivery.nack, when)
            else:
                delivery.acks[index] = when
                delivery.entry.acks[index].append((when, life))
        elif kind == "i":
            life.idle.append(when)
        elif kind == "c":
            life.ended = min(life.ended, when)
        else:
            setattr(life, {"S": "started", "O": "opened", "C": "closed"}[kind], when)
    into.lives.append(life)


def received(life, when, words, into):
    ledger, entry_id, index, count = map(int, words[:4])
    entry = into.entries.get((ledger, entry_id))
    told = entry and entry.messages.get(index)
    if not told or told[:2] != (words[4], int(words[5])):
        raise Malformed(f"{life.name} got {words[4:]} as {words[:3]}, where {told} was stored")
    key = (entry.position, count)
    delivery = life.deliveries.get(key)
    if delivery is None:
        number = len(life.deliveries)
        delivery = Delivery(life, entry, count, when, number)
        life.deliveries[key] = delivery
        life.had[entry.position].append(delivery)
        entry.deliveries.append(delivery)
    if index in delivery.indexes:
        raise Malformed(f"{life.name} got {words} twice with one redelivery count")
    delivery.indexes.add(index)


def settle(into):
    """What follows from the order of all of it: call when everything is read."""
    for entry in into.entries.values():
        if sorted(entry.messages) != list(range(entry.size)):
            raise Malformed(f"{entry.position} has the messages {sorted(entry.messages)}")
        entry.deliveries.sort(key=lambda delivery: delivery.first)
        for index in entry.acks:
            entry.acks[index].sort(key=lambda ack: ack[0])
    for life in into.lives:
        # A client gets things in the order in which they were handed out, so not before what came
        # earlier, and nothing before it was sent.
        floor = life.started
        for delivery in life.deliveries.values():
            floor = max(floor, delivery.entry.sent)
            delivery.floor = floor


def slot(key):
    """The slot of a key: Murmur3 (32 bits, seed 0) without its sign, of 65,536, and never 0."""
    data, hash_ = key.encode(), 0
    for at in range(0, len(data), 4):
        block = int.from_bytes(data[at:at + 4], "little") * 0xCC9E2D51 & 0xFFFFFFFF
        block = (block << 15 | block >> 17) * 0x1B873593 & 0xFFFFFFFF
        hash_ ^= block
        if at + 4 <= len(data):
            hash_ = ((hash_ << 13 | hash_ >> 19) & 0xFFFFFFFF) * 5 + 0xE6546B64 & 0xFFFFFFFF
    hash_ ^= len(data)
    hash_ = (hash_ ^ hash_ >> 16) * 0x85EBCA6B & 0xFFFFFFFF
    hash_ = (hash_ ^ hash_ >> 13) * 0xC2B2AE35 & 0xFFFFFFFF
    hash_ ^= hash_ >> 16
    return (hash_ & 0x7FFFFFFF) % SLOTS or 1
