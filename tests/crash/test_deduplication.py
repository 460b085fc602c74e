"""Goal: with deduplication, what a producer retries over kills is stored exactly once, in order.

Method: two official clients, each in a process of its own, send numbers with their sequence ids: one in
batches, through all rounds; one message by message, which is killed itself in every second round and
begins again behind what the broker says is its last one. The server is killed at a random moment, or
while it writes the records of deduplication. In the end the topic must have each number once, in order.
"""

import os
import pathlib
import random
import subprocess
import sys

import pulsar
from server import Server
from test_kill import Trace, kill_in

SOAK = os.environ.get("GEMINGA_SOAK") == "1"
ROUNDS = 100 if SOAK else 5
TOPIC = "persistent://public/default/dedup"
SETTINGS = {
    "brokerDeduplicationEnabled": "true",
    "brokerDeduplicationEntriesInterval": 50,
    "managedLedgerMaxEntriesPerLedger": 500,
    "managedLedgerMinLedgerRolloverTimeMinutes": 0,
    "managedLedgerCursorMaxEntriesPerLedger": 20,
    "retentionCheckIntervalInSeconds": 1,
}


class Retrying:
    """A producer's process."""

    def __init__(self, server, name, batches):
        script = pathlib.Path(__file__).with_name("retrying.py")
        command = [sys.executable, str(script), server.url, TOPIC, name, batches]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def kill(self):
        self.process.kill()
        self.process.communicate()

    def stop(self):
        """How many numbers it has sent, all with receipts."""
        out, _ = self.process.communicate("stop\n", timeout=60)
        words = out.splitlines()[-1].split(" ", 3)
        assert words[0] == "end" and words[3] == "[]", out
        return int(words[1])


def test_retries_are_stored_exactly_once():
    seed = int(os.environ.get("GEMINGA_CRASH_SEED", random.randrange(1 << 32)))
    randomness = random.Random(seed)
    server = Server(settings=SETTINGS)
    server.settings["phaseTraceFile"] = server.directory / "phases.txt"
    trace = Trace(server.directory / "phases.txt")
    producers = []
    try:
        server.start()
        keep_everything(server)
        steady = Retrying(server, "steady", "batches")
        single = Retrying(server, "single", "single")
        producers = [steady, single]
        for round_number in range(ROUNDS):
            target = randomness.choice(["dedup-write", "cursor-roll", "nothing"])
            kill_in(server, trace, target, randomness)
            if round_number % 2 == 1:
                single.kill()
            server.start()
            if round_number % 2 == 1:
                single = Retrying(server, "single", "single")
                producers[1] = single
        sent = {"steady": steady.stop(), "single": single.stop()}
        stored = read_all(server)
        for name, count in sent.items():
            where = f"seed {seed}, {name}"
            numbers = stored[name]
            assert len(numbers) == len(set(numbers)), f"{where}: stored twice"
            assert numbers == sorted(numbers), f"{where}: out of order"
            assert numbers == list(range(count)), f"{where}: {len(numbers)} of {count}"
        print(f"seed {seed}, {ROUNDS} rounds, {sent}")
        assert server.terminate() == 0
    finally:
        for producer in producers:
            producer.kill()
        server.remove()


def keep_everything(server):
    client = pulsar.Client(server.url, logger=pulsar.ConsoleLogger(pulsar.LoggerLevel.Error))
    client.subscribe(TOPIC, "keeper", pulsar.ConsumerType.Shared).close()
    client.close()


def read_all(server):
    """The numbers of each producer, in the order in which they are stored."""
    client = pulsar.Client(server.url, logger=pulsar.ConsoleLogger(pulsar.LoggerLevel.Error))
    reader = client.create_reader(TOPIC, pulsar.MessageId.earliest, receiver_queue_size=5000)
    stored = {"steady": [], "single": []}
    while reader.has_message_available():
        message = reader.read_next(20_000)
        stored[message.producer_name()].append(int(message.data()))
    client.close()
    return stored
