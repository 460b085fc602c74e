"""Who comes and goes in a round, and when."""

import json
import multiprocessing
import time
from dataclasses import dataclass

import clients
import logs
from clients import now
from server import wait_for

CONSUMERS = 20
TENANT = "public/default"
# Entries waiting at which the producers pause: a machine that is slow is not to be flooded.
BACKLOG_MAX = 1_500
# How long all that was published may take to be acked, once nothing is published any more.
DRAIN_SECONDS = 60
# What a client logs each time that its consumer is attached.
CONNECTED = "Created consumer on broker"
# Consumers and producers are forked from a process that has loaded the client already.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["pulsar"])


@dataclass
class Place:
    """One of the consumers that come and go, in its present life or between two."""

    number: int
    process: object = None
    life: str = ""
    # When it goes, or comes again.
    until: float = 0


class Schedule:
    """Runs the processes of one round; `folder` gets their logs."""

    def __init__(self, server, topic, folder, randomness, index_acks, kind="KeyShared"):
        self.server, self.folder, self.randomness = server, folder, randomness
        self.stats_path = f"/admin/v2/persistent/{TENANT}/{topic}/stats"
        self.calm_flag = folder / "calm"
        self.terms = clients.Terms(
            server.url, f"persistent://{TENANT}/{topic}", kind, index_acks, str(self.calm_flag)
        )
        self.places = [Place(number) for number in range(CONSUMERS)]
        self.lives = 0
        # Process → its life, for those that were told to go.
        self.leaving = {}
        self.killed, self.told = {}, {}
        self.calms = []
        self.producers = None
        self.next_look = 0
        # What the server said when not everything was acked in time.
        self.left = None

    # ---- what happens in a round

    def begin(self, rate):
        """Makes the subscription, before anything is published, and starts to publish."""
        client = clients.pulsar.Client(
            self.server.url, logger=clients.pulsar.ConsoleLogger(clients.pulsar.LoggerLevel.Error)
        )
        kind = getattr(clients.pulsar.ConsumerType, self.terms.type)
        client.subscribe(self.terms.topic, clients.SUBSCRIPTION, kind).close()
        client.close()
        seed = self.randomness.randrange(1 << 32)
        arguments = (self.server.url, self.terms.topic, rate, seed, str(self.folder))
        self.producers = FORKS.Process(target=clients.produce, args=arguments, daemon=True)
        self.producers.start()

    def churn(self, seconds):
        """Consumers come and go, some of them without a word; once many of them or all at a time."""
        self.calm_flag.unlink(missing_ok=True)
        ends = time.monotonic() + seconds
        sweep_at = time.monotonic() + self.randomness.uniform(0, seconds)
        share = self.randomness.choice([0.5, 1])
        for place in self.places:
            place.until = time.monotonic() + self.randomness.uniform(0, min(4, seconds))
        while time.monotonic() < ends:
            is_swept = sweep_at <= time.monotonic()
            sweep_at = ends if is_swept else sweep_at
            for place in self.places:
                goes = is_swept and place.process and self.randomness.random() < share
                if goes or place.until <= time.monotonic():
                    self.turn(place)
            self.look_at_backlog()
            time.sleep(0.005)

    def calm(self, seconds):
        """Everybody is there, and stays."""
        self.settle_down()
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            self.look_at_backlog()
            time.sleep(0.05)
        self.calms[-1] = (self.calms[-1][0], now())

    def drain(self):
        """Nothing more is published, everybody stays, and all must be acked: if not in time, says so."""
        self.settle_down()
        (self.folder / "pause").unlink(missing_ok=True)
        (self.folder / "stop").touch()
        join(self.producers, "the producers")
        deadline = time.monotonic() + DRAIN_SECONDS
        while not self.is_drained():
            if deadline < time.monotonic():
                self.left = self.stats()
                break
            time.sleep(0.05)
        self.calms[-1] = (self.calms[-1][0], now())

    def end(self):
        """All consumers are closed in good order, and have left nothing more."""
        for place in self.places:
            if place.process:
                self.tell_to_close(place)
        for process, life in self.leaving.items():
            join(process, life)
            self.note_end(process, life)
        stats = self.stats()
        assert self.left or self.is_drained(), stats
        assert stats["consumers"] == [], stats

    def stop(self):
        """Ends every process that still runs, whatever went wrong."""
        running = [place.process for place in self.places] + list(self.leaving) + [self.producers]
        for process in filter(None, running):
            process.kill()
            process.join()

    # ---- one consumer

    def turn(self, place):
        """Its present life ends, or the next one begins."""
        if place.process is None:
            self.start(place)
            place.until = time.monotonic() + self.randomness.uniform(0.3, 5)
            return
        if self.randomness.random() < 0.5:
            self.killed[place.life] = now()
            place.process.kill()
            self.leaving[place.process] = place.life
            place.process = None
        else:
            self.tell_to_close(place)
        # Some come back at once.
        place.until = time.monotonic() + max(0, self.randomness.uniform(-0.5, 1))

    def start(self, place):
        randomness = self.randomness
        place.life = f"life-{self.lives}"
        self.lives += 1
        # Some come back under their names, which gives them the keys that they had.
        name = f"consumer-{place.number}" if randomness.random() < 0.5 else place.life
        orders = clients.Orders(
            name, randomness.choice([3, 10, 100, 1000]), randomness.randrange(1 << 32),
            randomness.random() < 0.2, randomness.choice([0.5, 1, 1, 1, 2]),
            str(self.folder / place.life),
        )
        place.process = FORKS.Process(target=clients.consume, args=(self.terms, orders), daemon=True)
        place.process.start()

    def tell_to_close(self, place):
        self.told[place.life] = now()
        place.process.terminate()
        self.leaving[place.process] = place.life
        place.process = None

    def settle_down(self):
        """Waits until all consumers are there; from then on it is calm."""
        self.calm_flag.touch()
        for place in self.places:
            if place.process is None:
                self.start(place)
        for process, life in list(self.leaving.items()):
            join(process, life)
            self.note_end(process, life)
            del self.leaving[process]
        wait_for(self.is_full, 30, f"{CONSUMERS} consumers")
        self.calms.append((now(), None))

    def note_end(self, process, life):
        """Who was told to close before it listened was killed by that."""
        status = process.exitcode
        if life in self.told and status == -15:
            self.killed[life] = self.told[life]
        else:
            assert status == (-9 if life in self.killed else 0), f"{life} ended with {status}"

    # ---- what the server says

    def stats(self):
        status, text = self.server.rest("GET", self.stats_path)
        assert status == 200, (status, text)
        return json.loads(text)["subscriptions"][clients.SUBSCRIPTION]

    def is_full(self):
        return len(self.stats()["consumers"]) == CONSUMERS

    def is_drained(self):
        stats = self.stats()
        return stats["msgBacklog"] == 0 and stats["unackedMessages"] == 0

    def look_at_backlog(self):
        """Lets the producers pause while much is waiting."""
        if time.monotonic() < self.next_look:
            return
        self.next_look = time.monotonic() + 0.3
        pause = self.folder / "pause"
        if BACKLOG_MAX < self.stats()["msgBacklog"]:
            pause.touch()
        else:
            pause.unlink(missing_ok=True)

    # ---- what its processes wrote

    def what_happened(self):
        happened = logs.Round(self.terms.index_acks)
        happened.calms = self.calms
        for name in ("mixed", "keyed"):
            logs.read_producer(lines_of(self.folder / f"{name}.producer"), name, happened)
        for number in range(self.lives):
            life = f"life-{number}"
            path = self.folder / life
            if path.exists():
                killed = self.killed.get(life, logs.NEVER)
                logs.read_consumer(lines_of(path), life, killed, happened)
                self.check_connection(life, happened.lives[-1])
        logs.settle(happened)
        return happened

    def check_connection(self, name, life):
        """Nobody may lose its connection by itself; who was killed early never had one."""
        path = self.folder / f"{name}.client"
        connections = path.read_text().count(CONNECTED) if path.exists() else 0
        was_there = life.opened < logs.NEVER
        assert was_there <= connections <= 1, f"{name} was attached {connections} times"


def lines_of(path):
    """Whole lines: the last one of a process that was killed may not be."""
    return path.read_text().split("\n")[:-1]


def join(process, name):
    process.join(30)
    assert process.exitcode is not None, f"{name} does not end"
