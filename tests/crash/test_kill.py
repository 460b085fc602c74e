"""Goal: kill -9 at any moment loses nothing that was promised.

Method: rounds of load from an official client in a process of its own, which writes down each receipt
and each confirmed ack. Limits are so small that a round has several flushes, rollovers, journal
recycles, cursor writes, trims and compactions; the server notes where each begins and ends, the
kill comes at a random moment, or inside a phase whose turn it is. After each restart a subscription
that never acked must have every receipted message in order, and no confirmed ack may be undone.
"""

import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import pulsar
import raw
from server import ROOT, Server, wait_for

SOAK = os.environ.get("GEMINGA_SOAK") == "1"
# A life is a data directory and the rounds on it.
ROUNDS_IN_A_LIFE = 12
LIVES = 17 if SOAK else 1
# How long to lie in wait for a phase, seconds.
PATIENCE = 6
TOPIC = "persistent://public/default/crash"
PHASES = [
    "flush", "rollover", "recycle", "checkpoint", "compaction",
    "ledger-rollover", "cursor-write", "cursor-roll", "trim",
]
SETTINGS = {
    "managedLedgerMaxEntriesPerLedger": 200,
    "maxUnackedMessagesPerConsumer": 0,
    "maxUnackedMessagesPerSubscription": 0,
    "managedLedgerMinLedgerRolloverTimeMinutes": 0,
    "managedLedgerCursorMaxEntriesPerLedger": 20,
    "retentionCheckIntervalInSeconds": 1,
    "journalMaxSizeMB": 1,
    "dbStorage_writeCacheMaxSizeMb": 1,
    "flushInterval": 200,
    "logSizeLimit": 1 << 20,
    "gcWaitTime": 200,
    "minorCompactionInterval": 1,
    "majorCompactionInterval": 1,
    "minorCompactionThreshold": 0.9,
    "majorCompactionThreshold": 0.9,
}


class Trace:
    """The server's notes of phases, read as they are written."""

    def __init__(self, path):
        self.file = os.open(path, os.O_RDONLY | os.O_CREAT)
        self.at = 0
        self.rest = b""

    def lines(self):
        data = os.pread(self.file, 1 << 20, self.at)
        if not data:
            return []
        self.at += len(data)
        *whole, self.rest = (self.rest + data).split(b"\n")
        return [line.decode() for line in whole]


def open_phases(lines):
    """Phases begun and not ended."""
    count = {}
    for line in lines:
        kind, _, name = line.partition(" ")
        count[name] = count.get(name, 0) + (1 if kind == "B" else -1)
    return {name for name, open_count in count.items() if 0 < open_count}


def kill_in(server, trace, target, randomness):
    """Kills inside `target` if it can be caught there in time, else at some moment.

    The process is stopped when the phase has begun, and killed if it then still is in it.
    """
    noted = trace.lines()
    earliest = time.monotonic() + randomness.uniform(0.3, 1.0)
    deadline = earliest + PATIENCE
    while time.monotonic() < deadline:
        fresh = trace.lines()
        noted += fresh
        if earliest < time.monotonic() and fresh and target in open_phases(noted):
            os.killpg(server.process.pid, signal.SIGSTOP)
            noted += trace.lines()
            if target in open_phases(noted):
                break
            os.killpg(server.process.pid, signal.SIGCONT)
    os.killpg(server.process.pid, signal.SIGKILL)
    server.process.wait()
    server.process.stdout.close()
    server.process = None
    noted += trace.lines()
    return noted


def journal_of(path):
    receipts, acks = {"a": [], "b": []}, set()
    for line in path.read_text().splitlines():
        kind, *words = line.split(" ")
        if kind == "R" and len(words) == 2:
            receipts[words[0]].append(int(words[1]))
        elif kind == "A" and len(words) == 2:
            acks.add((int(words[0]), int(words[1])))
    return receipts, acks


def confirmed_acks_that_came_again(server, acks):
    """Takes what `acker` still has; returns confirmed acks among it."""
    connection = raw.Connection(server.url, timeout=20)
    connection.send(raw.SUBSCRIBE, [(1, TOPIC), (2, "acker"), (3, 1), (4, 1), (5, 1)])
    connection.expect(raw.SUCCESS)
    backlog = server.get("/admin/v2/persistent/public/default/crash/stats")
    backlog = backlog["subscriptions"]["acker"]["msgBacklog"]
    connection.send(raw.FLOW, [(1, 1), (2, 1 << 20)])
    again = set()
    for _ in range(backlog):
        body, _ = connection.expect(raw.MESSAGE)
        position = raw.parse(body[2])
        again.add((position.get(1, 0), position.get(2, 0)) )
    connection.close()
    return again & acks


def one_life(randomness, hit, where):
    """Rounds on one data directory; returns how many, and the receipts and acks checked."""
    server = Server(settings=SETTINGS)
    phase_file = server.directory / "phases.txt"
    server.settings["phaseTraceFile"] = phase_file
    journal = server.directory / "journal.txt"
    journal.touch()
    trace = Trace(phase_file)
    reader_at, seen = pulsar.MessageId.earliest, {"a": [], "b": []}
    try:
        server.start()
        make_subscriptions(server)
        for round_number in range(4 * ROUNDS_IN_A_LIFE):
            if ROUNDS_IN_A_LIFE <= round_number and all(hit.values()):
                break  # More only while some phase, often a very short one, was never hit.
            target = min(PHASES, key=lambda phase: (hit[phase], randomness.random()))
            noted = round_of_load(server, trace, journal, target, round_number, randomness)
            for phase in open_phases(noted):
                if phase in hit:
                    hit[phase] += 1
            server.start()
            at = f"{where}, round {round_number}, kill aimed at {target}"
            receipts, acks = journal_of(journal)
            reader_at = read_on(server, reader_at, seen)
            for name in ("a", "b"):
                missing = set(receipts[name]) - set(seen[name])
                assert not missing, f"{at}: lost {name} {sorted(missing)[:10]}"
                assert first_times_in_order(seen[name]), f"{at}: {name} out of order"
            undone = confirmed_acks_that_came_again(server, acks)
            assert not undone, f"{at}: acks undone: {sorted(undone)[:10]}"
            trace.lines()
        assert server.terminate() == 0
    finally:
        server.remove()
    return round_number + 1, sum(map(len, receipts.values())), len(acks)


def make_subscriptions(server):
    logger = pulsar.ConsoleLogger(pulsar.LoggerLevel.Error)
    client = pulsar.Client(server.url, logger=logger)
    # `keeper` never acks, so everything stays.
    for name in ("keeper", "acker"):
        client.subscribe(TOPIC, name, pulsar.ConsumerType.Shared).close()
    client.subscribe(TOPIC + "-churn", "drain", pulsar.ConsumerType.Shared).close()
    client.close()


def round_of_load(server, trace, journal, target, round_number, randomness):
    load = pathlib.Path(__file__).with_name("load.py")
    command = [sys.executable, str(load), server.url, TOPIC, str(journal), str(round_number * 10**7)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        return kill_in(server, trace, target, randomness)
    finally:
        process.kill()
        process.wait()


def test_nothing_promised_is_lost_by_kills():
    seed = int(os.environ.get("GEMINGA_CRASH_SEED", random.randrange(1 << 32)))
    randomness = random.Random(seed)
    hit = {phase: 0 for phase in PHASES}
    rounds = receipts = acks = 0
    for life in range(LIVES):
        checked = one_life(randomness, hit, f"seed {seed}, life {life}")
        rounds, receipts, acks = (a + b for a, b in zip((rounds, receipts, acks), checked))
    report = f"seed {seed}, {rounds} rounds, receipts {receipts}, "
    report += f"confirmed acks {acks}, kills inside: {hit}"
    print(report)
    folder = os.environ.get("GEMINGA_REPORT_DIR", ROOT / "target/soak" if SOAK else None)
    if folder:
        folder = pathlib.Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "crash.txt").write_text(report + "\n")
    missed = [phase for phase, count in hit.items() if count == 0]
    assert not missed, f"seed {seed}: no kill fell inside {missed}: {hit}"


def read_on(server, at, seen):
    """Reads everything behind `at` with a reader; the oldest ledgers are kept by `keeper`."""
    logger = pulsar.ConsoleLogger(pulsar.LoggerLevel.Error)
    client = pulsar.Client(server.url, logger=logger)
    reader = client.create_reader(TOPIC, at, receiver_queue_size=5000)
    while reader.has_message_available():
        message = reader.read_next(20_000)
        name, number, _ = message.data().split(b" ", 2)
        seen[name.decode()].append(int(number))
        at = message.message_id()
    client.close()
    return at


def first_times_in_order(numbers):
    """Resends may repeat; what is new must be larger than all before."""
    largest, known = -1, set()
    for number in numbers:
        if number not in known:
            if number < largest:
                return False
            largest = number
            known.add(number)
    return True
