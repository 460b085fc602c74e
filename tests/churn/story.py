"""Tells what happened around a violation, for who has to find out why."""

from collections import Counter

from logs import NEVER

# How much of what went before is told, in nanoseconds.
BEFORE = 3_000_000_000
LINES_MAX = 60
STORIES_MAX = 5


def stories(happened, found):
    """How many broke which rule, and what happened around the first ones."""
    rules = Counter(violation.rule for violation in found)
    first = sorted(found, key=lambda violation: violation.when)[:STORIES_MAX]
    told = [story(happened, violation) for violation in first]
    return "\n\n".join([f"{len(found)} violations: {dict(rules)}"] + told)


def story(happened, violation):
    """What happened to the key of a violation until then, in milliseconds of the round."""
    began = min(life.started for life in happened.lives)
    entries = happened.by_key()[violation.entry.key]
    events, lives = [], set()
    for entry in entries:
        events.append((entry.receipted, f"{entry.position} was stored, {entry.size} messages"))
        for delivery in entry.deliveries:
            events += of_delivery(delivery)
            lives.add(delivery.life)
    for life in lives:
        events.append((life.opened, f"{life.name} was there"))
        if life.closed < NEVER:
            events.append((life.ended, f"{life.name} began to close"))
            events.append((life.closed, f"{life.name} was closed"))
        else:
            events.append((life.ended, f"{life.name} was killed"))
    until = violation.when or NEVER
    told = [event for event in sorted(events) if until - BEFORE <= event[0] <= until or until == NEVER]
    lines = [f"{(when - began) / 1e6:12.3f} ms  {what}" for when, what in told[-LINES_MAX:]]
    title = f"[{violation.rule}] key {violation.entry.key}: {violation.text}"
    return "\n".join([title] + lines)


def of_delivery(delivery):
    who = f"{delivery.life.name} {delivery.entry.position} ({delivery.count})"
    yield delivery.first, f"{who} received, {len(delivery.indexes)} messages"
    if delivery.acks:
        acks = sorted(delivery.acks.values())
        yield acks[0], f"{who} begins to ack"
        yield acks[-1], f"{who} acks the last one of {len(acks)}"
    if delivery.nack < NEVER:
        yield delivery.nack, f"{who} nacks"
