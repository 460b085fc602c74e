"""Goal: Key_Shared keeps its promises while consumers come and go.

Method: 20 consumers, each a process with the official client, come and go for seconds at a time: half of
the ends are SIGKILL, the others a close. They have queues of several sizes, ack late and in any order,
nack, look away; some come back under their names. Two producers publish on 10,000 keys, few of them
often: one in batches of mixed keys, the other in batches by key. Between the storms there are calm times
in which nobody comes or goes. In the end everything must be acked. All write down what they did and saw,
and `oracle.py` goes over that: what it can prove, and why it raises no false alarm, is said there.

Rounds alternate between acks of whole batches and batch index acks. The schedule follows from a seed
(`GEMINGA_CHURN_SEED` repeats it), but for what the machine adds. The short form takes about 40 s; with
`GEMINGA_SOAK=1` it is ten minutes, with `GEMINGA_CHURN_SECONDS` as many seconds, and a stall counts from
2 s on. The short form runs where other things run as well, so there it counts from 5 s on.
"""

import os
import pathlib
import random
import shutil
import tempfile
import time

import oracle
import pytest
from schedule import Schedule
from server import ROOT, Server
from story import stories

SOAK = os.environ.get("GEMINGA_SOAK") == "1"
SECONDS = float(os.environ.get("GEMINGA_CHURN_SECONDS", 600 if SOAK else 0))
IS_LONG = 0 < SECONDS
STALL_SECONDS = 2 if IS_LONG else 5
# Seconds of (storm, calm) in a round; the last storm is followed by the drain.
ROUND = [(6, 4)] * 4 + [(6, 0)] if IS_LONG else [(4, 6), (2.5, 0)]
MESSAGES_PER_SECOND = 1_500
SETTINGS = {
    # Reading back goes over ledgers, too.
    "managedLedgerMaxEntriesPerLedger": 2_000,
    "managedLedgerMinLedgerRolloverTimeMinutes": 0,
}


class Seen:
    """What the rounds were made of: a round in which nothing happens proves nothing."""

    def __init__(self):
        names = "messages entries mixed deliveries again nacks kills closes moves waits"
        self.counts = dict.fromkeys(names.split(), 0)
        self.longest_wait = 0

    def add(self, happened):
        counts, entries = self.counts, happened.entries.values()
        deliveries = [delivery for entry in entries for delivery in entry.deliveries]
        counts["entries"] += len(entries)
        counts["messages"] += sum(entry.size for entry in entries)
        counts["mixed"] += sum(len({key for _, _, key in entry.messages.values()}) > 1 for entry in entries)
        counts["deliveries"] += len(deliveries)
        counts["again"] += sum(max(0, len(entry.deliveries) - 1) for entry in entries)
        counts["nacks"] += sum(delivery.nack < oracle.NEVER for delivery in deliveries)
        counts["kills"] += sum(life.closed == oracle.NEVER for life in happened.lives)
        counts["closes"] += sum(life.closed < oracle.NEVER for life in happened.lives)
        for of_key in happened.by_key().values():
            lives = [delivery.life for entry in of_key for delivery in entry.deliveries]
            counts["moves"] += sum(a is not b for a, b in zip(lives, lives[1:]))
        for since, until, entry in oracle.waits(happened):
            waited = oracle.provable_wait(happened, since, until, entry)
            counts["waits"] += 0 < waited
            self.longest_wait = max(self.longest_wait, waited)

    def __str__(self):
        counts = ", ".join(f"{name} {count}" for name, count in self.counts.items())
        return f"{counts}, longest provable wait {self.longest_wait / 1e6:.0f} ms"


def what_happens(server, number, randomness, index_acks, storms, kind="KeyShared"):
    """One round on a topic of its own; returns that, and what the server had left at the end of it."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="geminga-churn-"))
    schedule = Schedule(server, f"churn-{number}", folder, randomness, index_acks, kind)
    try:
        schedule.begin(MESSAGES_PER_SECOND)
        for storm, calm in storms:
            schedule.churn(storm)
            if calm:
                schedule.calm(calm)
        schedule.drain()
        schedule.end()
        return schedule.what_happened(), schedule.left
    finally:
        schedule.stop()
        shutil.rmtree(folder)


def test_keys_stay_apart_and_in_order():
    seed = int(os.environ.get("GEMINGA_CHURN_SEED", random.randrange(1 << 32)))
    print(f"GEMINGA_CHURN_SEED={seed}")
    randomness, seen, began = random.Random(seed), Seen(), time.monotonic()
    with Server(SETTINGS) as server:
        number = 0
        while number < 2 or time.monotonic() - began < SECONDS:
            index_acks = number % 2 == 1
            happened, left = what_happens(server, number, randomness, index_acks, ROUND)
            found = oracle.violations(happened, STALL_SECONDS * 1_000_000_000)
            if found or left:
                told = f"seed {seed}, round {number}: {stories(happened, found)}"
                pytest.fail(f"{told}\n\nleft: {left}", pytrace=False)
            seen.add(happened)
            number += 1
    report = f"seed {seed}, {number} rounds: {seen}"
    print(report)
    folder = os.environ.get("GEMINGA_REPORT_DIR", ROOT / "target/soak" if SOAK else None)
    if folder:
        folder = pathlib.Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "churn.txt").write_text(report + "\n")
    missing = [name for name, count in seen.counts.items() if count < 10]
    assert not missing, f"hardly any {missing}: {report}"


def test_the_oracle_sees_that_shared_does_not_keep_keys():
    """The same on a Shared subscription, which promises none of it: so a broken one would be seen."""
    randomness = random.Random(1)
    with Server(SETTINGS) as server:
        happened, _ = what_happens(server, 0, randomness, False, [(3, 0)], "Shared")
    found = {violation.rule for violation in oracle.violations(happened, STALL_SECONDS * 1_000_000_000)}
    assert {"apart", "in order"} <= found <= {"apart", "in order", "in order after nacks"}, found
