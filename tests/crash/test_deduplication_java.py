"""Goal: with deduplication, what Java producers retry over kills is stored exactly once, in order.

Method: `RetryingLoad` of tests/interop/java has them all in one JVM, which goes on through all rounds and
reads everything in the end. The server is killed after some receipts, or while it writes the records of
deduplication.
"""

import os
import pathlib
import random
import subprocess

from server import ROOT, Server, wait_for
from test_deduplication import SETTINGS
from test_kill import Trace, kill_in

SOAK = os.environ.get("GEMINGA_SOAK") == "1"
ROUNDS = 100 if SOAK else 5
TOPIC = "persistent://public/default/dedup-java"
SWITCH = "brokerDeduplicationEnabled"


class Load:
    """The JVM, and the folder through which it is spoken to."""

    def __init__(self, server, seed):
        self.folder = server.directory / "load"
        self.folder.mkdir()
        environment = {
            **os.environ, "PULSAR_URL": server.url, "GEMINGA_LOAD_DIR": str(self.folder),
            "GEMINGA_LOAD_TOPIC": TOPIC, "GEMINGA_LOAD_SEED": str(seed),
        }
        self.log = open(self.folder / "log", "wb")
        self.process = subprocess.Popen(
            ["mvn", "-q", "--batch-mode", "test", "-Dtest=RetryingLoad", "-pl", "client"],
            cwd=ROOT / "tests/interop/java", env=environment, stdout=self.log, stderr=self.log,
            start_new_session=True,
        )

    def confirmed(self):
        """How many receipts it has got so far."""
        assert self.process.poll() is None, self.text()
        path = self.folder / "confirmed"
        return int(path.read_text()) if path.exists() else 0

    def text(self):
        return (self.folder / "log").read_text(errors="replace")[-4000:]

    def stop(self):
        """What it says of itself, once it has read and checked everything."""
        (self.folder / "stop").touch()
        status = self.process.wait(timeout=240)
        assert status == 0, self.text()
        return (self.folder / "report").read_text()

    def end(self):
        if self.process.poll() is None:
            (self.folder / "stop").touch()
            self.process.terminate()
            self.process.wait()
        self.log.close()


def test_java_producers_retries_are_stored_exactly_once():
    seed = int(os.environ.get("GEMINGA_CRASH_SEED", random.randrange(1 << 32)))
    randomness = random.Random(seed)
    switch = os.environ.get("GEMINGA_CRASH_DEDUPLICATION", "true")
    server = Server(settings={**SETTINGS, SWITCH: switch, "defaultRetentionTimeInMinutes": -1,
                              "defaultRetentionSizeInMB": -1})
    server.settings["phaseTraceFile"] = server.directory / "phases.txt"
    trace = Trace(server.directory / "phases.txt")
    load = None
    try:
        server.start()
        load = Load(server, seed)
        wait_for(load.confirmed, timeout=120, what="the first receipt")
        for _ in range(ROUNDS):
            receipts = load.confirmed() + randomness.randrange(1, 5_000)
            wait_for(lambda: receipts <= load.confirmed(), timeout=60, what=f"seed {seed}: receipts")
            if randomness.random() < 0.5:
                server.kill()
            else:
                kill_in(server, trace, "dedup-write", randomness)
            server.start()
        report = f"seed {seed}, {ROUNDS} rounds, {load.confirmed()} receipts: {load.stop()}"
        write_report(report)
        assert server.terminate() == 0
    finally:
        if load:
            load.end()
        server.remove()


def write_report(report):
    print(report)
    folder = os.environ.get("GEMINGA_REPORT_DIR", ROOT / "target/soak" if SOAK else None)
    if folder:
        folder = pathlib.Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "crash-deduplication-java.txt").write_text(report + "\n")
