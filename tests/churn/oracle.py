"""The oracle: what a Key_Shared subscription promises, checked on what its clients saw.

What is promised is about *entries* and their keys. A batch is one entry, and its key is the one in its
metadata, which clients take from its first message. So of a batch of mixed keys only the first key is
kept apart and in order, with Pulsar's brokers as with ours; the other keys in it go where the first one
goes. Who wants order for each key batches by key. All rules below therefore count by the entry's key,
and entries of the two producers that have one key are in one order: that of their positions.

Clients see only part of what the broker does, and later. What is proven, and what is not:

- What a client has received was handed out by the broker *before*: a consumer holds an entry at the
  latest from its first `r` on. That it has held it longer, in its queue, is not known.
- A consumer has let go of an entry at the earliest when it *began* to ack the last message of it, began
  to nack one, began to close, or was killed (the time is taken before the signal). The broker may know
  of it later: acks wait up to 100 ms in the client, nacks at least so long. What is held from the first
  `r` until then is held *for certain*. An ack that a killed consumer had begun may never have been sent:
  it counts as one where that excuses the broker, and is not counted on where that accuses it.
- With batch index acks an entry may be done by acks from several consumers. Of a delivery only those
  messages that came with it count, since the others had been acked before; and an ack of somebody who
  had ended before it came cannot be what freed it.
- A consumer's messages come in the order in which they were handed out, through one connection and one
  queue. So what it received later was handed out later, and all of it after the last of what came until
  then was sent by its producer: the delivery's *floor*.
- A consumer that was closed, and got the answer, had its acks processed first: they are on the same
  connection before the CLOSE_CONSUMER. So acks of closed consumers are known to have worked since then.
- No client may lose its connection by itself, or what it holds would be given to others without a trace
  here; rounds in which that happens are refused by who runs them.

Not proven: that a nacked entry comes back before newer ones of its key that the same consumer gets
meanwhile, since a nack has no answer. The model in `crates/geminga-subscription/tests` proves it.

The rules, each a function below:

1. *Apart.* No two consumers hold entries of one key for certain at one time.
2. *In order.* When an entry is received, each older entry of its key may have been acked, or has been
   received by the same consumer before. This makes first deliveries come in the order of publishing,
   over all consumers, makes what a killed consumer held come again in that order, and keeps newer
   entries back while an older one is unacked elsewhere.
3. *In order after nacks.* If a consumer nacked an older entry no later than a newer one of its key (its
   client then gives them back in that order, or together), the newer one comes again only to who has
   received the older one again, unless that may have been acked.
4. *For a reason.* An entry comes again only after it was nacked where it was before, or that consumer
   ended; the redelivery count rises by one for a nack and for nothing else.
5. *Acks last.* What a closed consumer had acked is never handed out after the close was answered.
6. *Everything arrives.* Each entry is acked in the end.
7. *No stall.* In times in which no consumer comes or goes: if nobody holds anything of a slot (keys
   share slots, and a slot that moves waits for what is out of it), and an entry of it is waiting, it
   is received within the bound. All consumers always take what comes, so that each has permits, whoever
   the slot's owner is. Only that time counts in which every consumer is known to have had an empty
   queue since, so that slow clients raise no alarm. And of that only what follows the first receipt of
   anything newer, or in which nobody gets anything at all: a broker that works off a backlog in order,
   as fast as its machine lets it, does not stall. What lies in a connection's buffers is not seen; the
   bound must leave room for that.
8. *Stored in order.* Batches of a producer are stored in the order of its sends; batches by key, in
   that order for each key.
"""

from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from itertools import accumulate

from logs import NEVER, slot

MILLISECOND = 1_000_000


class Violation:
    """A rule was broken by an entry."""

    def __init__(self, rule, entry, when, text):
        self.rule, self.entry, self.when, self.text = rule, entry, when, text


def violations(happened, stall_bound):
    """All that broke a rule, by rule; `stall_bound` is in nanoseconds."""
    found = []
    for entries in happened.by_key().values():
        found += apart(happened, entries)
        found += in_order(happened, entries)
        found += in_order_after_nacks(happened, entries)
        for entry in entries:
            found += for_a_reason(entry)
            found += acks_last(happened, entry)
            found += everything_arrives(happened, entry)
    found += no_stall(happened, stall_bound)
    found += stored_in_order(happened)
    return found


# ---- what is known of one entry or delivery


def acked_at(happened, delivery):
    """When all of a delivery had been acked where it was, or `NEVER`."""
    if len(delivery.acks) < delivery.entry.size:
        return NEVER
    return max(delivery.acks.values())


def may_be_acked_at(happened, entry):
    """When the acks for all of an entry had begun, whether they came through or not."""
    if not happened.index_acks:
        return min((acked_at(happened, delivery) for delivery in entry.deliveries), default=NEVER)
    first = [entry.acks[index][0][0] if entry.acks.get(index) else NEVER for index in range(entry.size)]
    return max(first)


def may_be_let_go_at(happened, delivery):
    """Until when its consumer held a delivery for certain."""
    if not happened.index_acks:
        acked = acked_at(happened, delivery)
    else:
        acked = max(freed_by_acks(delivery, index) for index in delivery.indexes)
    return min(acked, delivery.nack, delivery.life.ended)


def freed_by_acks(delivery, index):
    acks = delivery.entry.acks.get(index, ())
    return min((when for when, life in acks if delivery.first < life.ended), default=NEVER)


def is_acked_for_certain_at(happened, entry, indexes):
    """When the acks of some of its messages had been processed, or `NEVER`."""
    if not happened.index_acks:
        whole = [delivery for delivery in entry.deliveries if acked_at(happened, delivery) < NEVER]
        return min((delivery.life.closed for delivery in whole), default=NEVER)
    closed = [min((life.closed for _, life in entry.acks.get(index, ())), default=NEVER) for index in indexes]
    return min(closed)


# ---- the rules


def apart(happened, entries):
    held = {}  # Life → until when, and by which entry.
    deliveries = [delivery for entry in entries for delivery in entry.deliveries]
    for delivery in sorted(deliveries, key=lambda each: each.first):
        until = may_be_let_go_at(happened, delivery)
        held = {life: hold for life, hold in held.items() if delivery.first < hold[0]}
        for life, (_, other) in held.items():
            if life is not delivery.life and delivery.first < until:
                yield Violation(
                    "apart", delivery.entry, delivery.first,
                    f"{delivery.life.name} got {delivery.entry.position} while {life.name} held "
                    f"{other.entry.position} of the same key",
                )
        if delivery.first < until:
            held[delivery.life] = max(held.get(delivery.life, (0, None)), (until, delivery), key=first_of)


def first_of(pair):
    return pair[0]


def in_order(happened, entries):
    acked = {entry.position: may_be_acked_at(happened, entry) for entry in entries}
    unacked = [entry.position for entry in entries]
    by_ack = sorted((when, position) for position, when in acked.items())
    deliveries = [delivery for entry in entries for delivery in entry.deliveries]
    done = 0
    for delivery in sorted(deliveries, key=lambda each: each.first):
        while done < len(by_ack) and by_ack[done][0] <= delivery.first:
            del unacked[bisect_left(unacked, by_ack[done][1])]
            done += 1
        for older in unacked[:bisect_left(unacked, delivery.entry.position)]:
            had = delivery.life.had.get(older)
            if not had or delivery.number < had[0].number:
                yield Violation(
                    "in order", delivery.entry, delivery.first,
                    f"{delivery.life.name} got {delivery.entry.position} before {older}, which "
                    "nobody had acked",
                )


def in_order_after_nacks(happened, entries):
    nacked = defaultdict(list)  # Life → its nacked deliveries of this key.
    for entry in entries:
        for delivery in entry.deliveries:
            if delivery.nack < NEVER:
                nacked[delivery.life].append(delivery)
    for life, deliveries in nacked.items():
        for newer in deliveries:
            again = next_delivery(newer)
            if again is None or again.count != newer.count + 1:
                continue
            for older in deliveries:
                if (
                    older.entry.position < newer.entry.position and older.nack <= newer.nack
                    and not came_again(older, again)
                    and again.first < may_be_acked_at(happened, older.entry)
                ):
                    yield Violation(
                        "in order after nacks", again.entry, again.first,
                        f"{again.life.name} got {again.entry.position} again without "
                        f"{older.entry.position}, which {life.name} had nacked before it",
                    )


def next_delivery(delivery):
    deliveries = delivery.entry.deliveries
    after = deliveries.index(delivery) + 1
    return deliveries[after] if after < len(deliveries) else None


def came_again(older, again):
    """Whether who got `again` had by then got `older` anew, after its nack."""
    had = again.life.had.get(older.entry.position, ())
    return any(older.count < each.count and each.number < again.number for each in had)


def for_a_reason(entry):
    for before, after in zip(entry.deliveries, entry.deliveries[1:]):
        was_nacked = before.nack < after.first
        has_ended = before.life.ended < after.first
        expected = {before.count + 1} if was_nacked else {before.count}
        if has_ended:
            expected.add(before.count)
        if not was_nacked and not has_ended:
            text = f"{before.life.name}, which had it, neither nacked it nor ended"
        elif after.count not in expected:
            text = f"its redelivery count went from {before.count} to {after.count}"
        else:
            continue
        yield Violation(
            "for a reason", entry, after.first, f"{after.life.name} got {entry.position} again: {text}"
        )
    if entry.deliveries and entry.deliveries[0].count != 0:
        first = entry.deliveries[0]
        yield Violation(
            "for a reason", entry, first.first,
            f"{entry.position} came first with the redelivery count {first.count}",
        )


def acks_last(happened, entry):
    for delivery in entry.deliveries:
        if is_acked_for_certain_at(happened, entry, delivery.indexes) < delivery.floor:
            yield Violation(
                "acks last", entry, delivery.first,
                f"{delivery.life.name} got {entry.position}, which a closed consumer had acked",
            )


def everything_arrives(happened, entry):
    if may_be_acked_at(happened, entry) == NEVER:
        holders = [delivery.life.name for delivery in entry.deliveries]
        yield Violation(
            "everything arrives", entry, NEVER, f"{entry.position} was never acked; it came to {holders}"
        )


def stored_in_order(happened):
    for (producer, _), ids in happened.sends.items():
        for before, after in zip(ids, ids[1:]):
            if after < before:
                yield Violation(
                    "stored in order", happened.entries[after[0]], 0,
                    f"{producer}: {after} was sent after {before}",
                )


# ---- waiting


def no_stall(happened, bound):
    for since, until, entry in waits(happened):
        waited = provable_wait(happened, since, until, entry)
        if bound < waited:
            yield Violation(
                "no stall", entry, until,
                f"{entry.position} was not handed out for {waited // MILLISECOND} ms, with nothing "
                f"of slot {slot(entry.key)} at anybody and everybody's queue empty",
            )


def waits(happened):
    """(since, until, entry) of each time in which something of a slot waited and nobody held any."""
    slots = defaultdict(list)
    for entry in happened.entries.values():
        slots[slot(entry.key)].append(entry)
    for entries in slots.values():
        yield from waits_of(happened, entries)


def waits_of(happened, entries):
    """Goes through what happened to the entries of one slot, one state for each: waiting, held, done."""
    events = []
    for entry in entries:
        first = entry.deliveries[0].first if entry.deliveries else NEVER
        if entry.receipted < first:
            events.append((entry.receipted, entry.position, "waits", entry))
        acked = may_be_acked_at(happened, entry)
        for delivery in entry.deliveries:
            events.append((delivery.first, entry.position, "held", entry))
            let_go = may_be_let_go_at(happened, delivery)
            state = "done" if acked <= let_go else "waits"
            events.append((max(let_go, delivery.first), entry.position, state, entry))
    events.sort(key=lambda event: event[:2])
    held, waiting, since = {}, {}, None
    for when, position, state, entry in events:
        if state == "held" and since is not None:
            yield since, when, entry
        held.pop(position, None)
        waiting.pop(position, None)
        if state == "held":
            held[position] = entry
        elif state == "waits":
            waiting[position] = entry
        is_clear = waiting and not held
        since = (since if since is not None and state != "held" else when) if is_clear else None
    if since is not None:
        yield since, NEVER, next(iter(waiting.values()))


def provable_wait(happened, since, until, entry):
    """How much of it lies in a calm time, up to when every consumer had been found idle, and is a stall."""
    longest = 0
    for began, ended, lives in calms_with_lives(happened):
        start, end = max(since, began), min(until, ended)
        if longest < end - start and lives:
            end = min(last_before(life.idle, end) for life in lives)
            longest = max(longest, end - max(start, overtaken_at(happened, entry)), silence(happened, start, end))
    return longest


def overtaken_at(happened, entry):
    """When somebody first received something newer."""
    newest, when = progress(happened)
    at = bisect_right(newest, entry.position)
    return when[at] if at < len(when) else NEVER


def silence(happened, start, end):
    """How long nobody received anything, between two times."""
    _, when = progress(happened)
    times = [start] + when[bisect_right(when, start):bisect_left(when, end)] + [end]
    return max(b - a for a, b in zip(times, times[1:]))


def progress(happened):
    """The newest position received until then, and the times of all first receipts of deliveries."""
    if not hasattr(happened, "progress"):
        firsts = [(d.first, entry.position) for entry in happened.entries.values() for d in entry.deliveries]
        firsts.sort()
        newest = list(accumulate((position for _, position in firsts), max))
        happened.progress = (newest, [when for when, _ in firsts])
    return happened.progress


def calms_with_lives(happened):
    """The calm times, from when the last of their consumers was there, with these consumers."""
    if not hasattr(happened, "calm_lives"):
        happened.calm_lives = []
        for began, ended in happened.calms:
            lives = [life for life in happened.lives if life.opened < ended and began < life.ended]
            began = max([began] + [life.opened for life in lives])
            happened.calm_lives.append((began, ended, lives))
    return happened.calm_lives


def last_before(times, end):
    at = bisect_right(times, end)
    return times[at - 1] if at else 0
