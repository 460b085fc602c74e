"""A cursor with very many holes: what it costs, and how long a restart takes with it.

Publishes entries through the server, acks all of them but one of every `--stride`, at random places,
kills the server and starts it again. Measures the time from the start of the process until an official
client has the first message, then receives everything: it must be the holes, all of them, and nothing
else. Also measures how long acks take while the cursor has that many holes. Prints one JSON object.
Needs the official client, `pulsar-client`.
"""

import argparse
import collections
import json
import pathlib
import random
import re
import subprocess
import sys
import time

import pulsar

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests"))
import raw  # noqa: E402
import server as servers  # noqa: E402

TOPIC = "persistent://public/default/holes"
STATS = "/admin/v2/persistent/public/default/holes/internalStats"
SUBSCRIPTION = "s"
ACKS_IN_FLIGHT = 32
TIMEOUT = 300


def memory(process):
    """Resident MiB of a process now, and its peak."""
    text = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    kib = {key: int(value) for key, value in re.findall(r"(VmRSS|VmHWM):\s+(\d+) kB", text)}
    return {"rss_mib": round(kib["VmRSS"] / 1024, 1), "peak_mib": round(kib["VmHWM"] / 1024, 1)}


def percentiles(values):
    values = sorted(values)
    at = lambda share: round(values[min(len(values) - 1, int(len(values) * share))], 2)  # noqa: E731
    return {"p50": at(0.5), "p99": at(0.99), "max": round(values[-1], 2), "count": len(values)}


def publish(server, count):
    """One entry for each message, with the load generator."""
    command = [
        str(servers.BINARY), "perf", "--json", "--url", server.url, "produce", TOPIC,
        "--server-pid", str(server.process.pid), "--size", "16", "--disable-batching",
        "--in-flight", "10000", "--messages", str(count),
    ]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    sent = json.loads(output)["sent"]
    assert sent["messages"] == count and sent["failed"] == 0, sent


def spans(server, count):
    """(ledger, entries) of the topic, which nothing was trimmed of."""
    stats = server.get(STATS)
    found = [(ledger["ledgerId"], ledger["entries"]) for ledger in stats["ledgers"]]
    if stats["state"] == "LedgerOpened":
        found[-1] = (found[-1][0], stats["currentLedgerEntries"])
    assert sum(entries for _, entries in found) == count, stats
    return found


class Acks:
    """Lists of acks over one raw connection, each with an answer that says it is durable."""

    def __init__(self, url):
        self.connection = raw.Connection(url, TIMEOUT)
        # A Shared consumer, from the earliest message on, that takes no messages.
        fields = [(1, TOPIC), (2, SUBSCRIPTION), (3, 1), (4, 1), (5, 1), (13, 1)]
        self.connection.send(raw.SUBSCRIBE, fields)
        self.connection.expect(raw.SUCCESS)
        self.waiting = collections.deque()
        self.requests = 1

    def send(self, encoded_ids):
        self.requests += 1
        body = raw.message([(1, 1), (2, 0)]) + encoded_ids + raw.field(8, self.requests)
        self.waiting.append((self.requests, time.perf_counter()))
        self.connection.socket.sendall(raw.frame(raw.ACK, body))

    def answer(self):
        """Waits for the oldest's answer; milliseconds since it was sent."""
        body, _ = self.connection.expect(raw.ACK_RESPONSE)
        request, sent = self.waiting.popleft()
        assert body[6] == request and 4 not in body, body
        return (time.perf_counter() - sent) * 1000

    def close(self):
        self.connection.close()


def encoded_ids(ledger, entries):
    """How each entry of a ledger is named in an ACK."""
    head = raw.field(1, ledger)
    return [raw.field(3, head + raw.field(2, entry)) for entry in range(entries)]


def ack_all_but(acks, spans, stride, list_length, draw):
    """Acks everything but the holes, in an order that is mixed over some thousand entries. Returns the
    holes, and how long each answer took."""
    holes, times, ordinal = [], [], 0
    for ledger, entries in spans:
        names = encoded_ids(ledger, entries)
        portion = []
        for entry in range(entries):
            if ordinal % stride == 0:
                # Never two holes side by side.
                hole = ordinal + draw.randrange(max(1, stride - 1))
            if ordinal == hole:
                holes.append((ledger, entry))
            else:
                portion.append(names[entry])
            ordinal += 1
        for begin in range(0, len(portion), 20 * list_length):
            mixed = portion[begin:begin + 20 * list_length]
            draw.shuffle(mixed)
            for first in range(0, len(mixed), list_length):
                acks.send(b"".join(mixed[first:first + list_length]))
                while ACKS_IN_FLIGHT <= len(acks.waiting):
                    times.append(acks.answer())
    while acks.waiting:
        times.append(acks.answer())
    return holes, times


def ack_one_by_one(acks, holes):
    times = []
    for ledger, entry in holes:
        acks.send(raw.field(3, raw.field(1, ledger) + raw.field(2, entry)))
        times.append(acks.answer())
    return times


def restart(server):
    """Kills it, starts it, and waits for an official client's first message."""
    server.kill()
    began = time.perf_counter()
    server.start(timeout=120)
    client = pulsar.Client(server.url, logger=pulsar.ConsoleLogger(pulsar.LoggerLevel.Error))
    consumer = client.subscribe(
        TOPIC, SUBSCRIPTION, consumer_type=pulsar.ConsumerType.Shared, receiver_queue_size=10_000)
    first = consumer.receive(TIMEOUT * 1000)
    took = (time.perf_counter() - began) * 1000
    report = {"ready_ms": server.ready_ms, "first_message_ms": round(took), **memory(server.process)}
    return client, consumer, first, report


def position(message):
    at = message.message_id()
    return at.ledger_id(), at.entry_id()


def receive_all(consumer, first, holes):
    """Receives and acks until all holes have come; each must come once, and nothing else."""
    left = set(holes)
    began = time.perf_counter()
    message = first
    while True:
        at = position(message)
        assert at in left, f"{at} was acked, or came twice"
        left.remove(at)
        consumer.acknowledge(message)
        if not left:
            break
        message = consumer.receive(TIMEOUT * 1000)
    took = time.perf_counter() - began
    try:
        extra = position(consumer.receive(2_000))
        raise AssertionError(f"{extra} came behind the last hole")
    except pulsar.Timeout:
        pass
    return {"holes": len(holes), "per_s": round(len(holes) / took)}


def note(report, key, value):
    report[key] = value
    print(f"{key}: {json.dumps(value)}", file=sys.stderr, flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--stride", type=int, default=20, help="one entry of so many is not acked")
    parser.add_argument("--list", type=int, default=1_000, help="acks in one command")
    parser.add_argument("--singles", type=int, default=1_000, help="holes acked one by one, and timed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    draw = random.Random(options.seed)
    # Those that are acked one by one come on top.
    count = options.entries + options.singles * options.stride
    report = {"entries": count, "stride": options.stride, "seed": options.seed}
    # Nobody reads the connection for acks while entries are published.
    settings = {"keepAliveIntervalSeconds": 3600}
    settings.update(setting.split("=", 1) for setting in options.set)
    server = servers.Server(settings)
    try:
        run(server, options, draw, report)
    except servers.Failed as error:
        print(error, file=sys.stderr)
        raise
    finally:
        server.remove()
    print(json.dumps(report, indent=1))


def run(server, options, draw, report):
    server.start()
    acks = Acks(server.url)
    count = report["entries"]
    began = time.perf_counter()
    publish(server, count)
    rate = round(count / (time.perf_counter() - began))
    note(report, "published", {"per_s": rate, **memory(server.process)})

    began = time.perf_counter()
    holes, times = ack_all_but(acks, spans(server, count), options.stride, options.list, draw)
    rate = round((count - len(holes)) / (time.perf_counter() - began))
    note(report, "acked", {"per_s": rate, **memory(server.process)})
    note(report, "list_ack_ms", percentiles(times[-len(times) // 5:]))
    acks.close()

    # The cursor's log now is a snapshot and what was acked since.
    client, _, first, restarted = restart(server)
    assert position(first) == holes[0], first
    note(report, "after_kill", restarted)
    client.close()

    singles = set(draw.sample(range(1, len(holes)), options.singles))
    acks = Acks(server.url)
    times = ack_one_by_one(acks, [holes[at] for at in sorted(singles)])
    acks.close()
    # The first after a start begins a new log with all that is acked.
    note(report, "first_ack_ms", round(times[0], 2))
    note(report, "single_ack_ms", percentiles(times[1:]))
    note(report, "cursor", cursor(server))
    holes = [hole for at, hole in enumerate(holes) if at not in singles]
    note(report, "holes", len(holes))
    # Now it is little more than a snapshot.
    client, consumer, first, restarted = restart(server)
    note(report, "after_second_kill", restarted)
    note(report, "received", receive_all(consumer, first, holes))
    note(report, "received_memory", memory(server.process))
    client.close()


def cursor(server):
    return server.get(STATS)["cursors"][SUBSCRIPTION]


if __name__ == "__main__":
    main()
