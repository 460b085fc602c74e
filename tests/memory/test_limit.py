"""The peak of resident memory stays under the configured limit, and nothing receipted is lost.

Goal: many connections that publish small messages, and many consumers that ask for all of them and
read none, cost no more than `memoryLimitMb` allows, on a slow disk too.
Method: slow consumers take permits and leave their sockets unread; producers publish messages that
are numbered; VmHWM, which the kernel counts, is compared with the limit, and a cgroup with little more
than the limit would have the process killed (where this user may make one); then a fresh subscription on each topic must find every
message that got a receipt. The disk is slowed by strace, which holds up each sync.

A soak has 10,000 connections; GEMINGA_MEMORY_CONNECTIONS sets another number.
"""

import asyncio
import contextlib
import os
import pathlib
import re
import resource
import socket
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import cgroup  # noqa: E402
import pytest  # noqa: E402
import raw  # noqa: E402
from server import ROOT, Server  # noqa: E402

SOAK = os.environ.get("GEMINGA_SOAK") == "1"
CONNECTIONS = int(os.environ.get("GEMINGA_MEMORY_CONNECTIONS", "10000" if SOAK else "300"))
# A fifth of the limit is for connections, at 12 KiB each.
LIMIT_MIB = max(256, CONNECTIONS // 15)
# What the kernel holds for sockets and files beyond what the process itself takes.
KERNEL_MIB = 64 + CONNECTIONS * 16 // 1024
SYNC_DELAY_US = 20_000
SLOW_DISK = ["strace", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync",
             "-e", f"inject=fsync,fdatasync:delay_enter={SYNC_DELAY_US}"]
TOPICS = 4
SLOW_PER_TOPIC = 50
MESSAGES_PER_TOPIC = 40_000
IN_FLIGHT = 50
EARLIEST = 1
MARKER = re.compile(rb"<(\d+)-(\d+)>")


def topic(index):
    return f"persistent://public/default/memory-{index}"


def peak_mib(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024


def slow_consumer(url, index, number):
    connection = raw.Connection(url)
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    subscription = f"slow-{number}"
    fields = [(1, topic(index)), (2, subscription), (3, 0), (4, 0), (5, 1), (13, EARLIEST)]
    connection.send(raw.SUBSCRIBE, fields)
    connection.expect(raw.SUCCESS)
    connection.send(raw.FLOW, [(1, 0), (2, 1_000_000)])
    return connection


class Client:
    """A connection in asyncio."""

    async def open(self, url):
        host, port = url.removeprefix("pulsar://").split(":")
        self.reader, self.writer = await asyncio.open_connection(host, int(port))
        self.send(raw.CONNECT, [(1, "raw"), (4, 21)])
        await self.expect(raw.CONNECTED)
        return self

    def send(self, kind, fields, payload=b""):
        self.writer.write(raw.frame(kind, raw.message(fields), payload))

    async def expect(self, kind):
        while True:
            size = int.from_bytes(await self.reader.readexactly(4), "big")
            data = size.to_bytes(4, "big") + await self.reader.readexactly(size)
            got, body, payload = next(raw.frames(data))
            if got == raw.PING:
                self.send(raw.PONG, [])
            elif got == kind:
                return body, payload
            else:
                assert got != raw.ERROR, body


async def produce(url, number, count, receipted):
    client = await Client().open(url)
    client.send(raw.PRODUCER, [(1, topic(number % TOPICS)), (2, 0), (3, 1)])
    await client.expect(raw.PRODUCER_SUCCESS)
    for begin in range(0, count, IN_FLIGHT):
        portion = range(begin, min(begin + IN_FLIGHT, count))
        for sequence in portion:
            body = f"<{number}-{sequence}>".encode().ljust(100, b".")
            fields = [(1, 0), (2, sequence), (3, 1)]
            client.send(raw.SEND, fields, raw.entry(f"p{number}", sequence, body))
        for _ in portion:
            body, _ = await client.expect(raw.SEND_RECEIPT)
            receipted.add((number, body[2]))
    return client


async def produce_all(url):
    receipted = set()
    count = max(20, TOPICS * MESSAGES_PER_TOPIC // CONNECTIONS)
    numbers = range(CONNECTIONS)
    clients = await asyncio.gather(*(produce(url, n, count, receipted) for n in numbers))
    assert len(receipted) == CONNECTIONS * count
    for client in clients:
        client.writer.close()
    return receipted


async def consume_all(url, index, wanted):
    client = await Client().open(url)
    fields = [(1, topic(index)), (2, "late"), (3, 0), (4, 0), (5, 1), (13, EARLIEST)]
    client.send(raw.SUBSCRIBE, fields)
    await client.expect(raw.SUCCESS)
    missing = {pair for pair in wanted if pair[0] % TOPICS == index}
    since_flow = 0
    client.send(raw.FLOW, [(1, 0), (2, 1_000)])
    while missing:
        _, payload = await asyncio.wait_for(client.expect(raw.MESSAGE), 60)
        number, sequence = map(int, MARKER.search(payload).groups())
        missing.discard((number, sequence))
        since_flow += 1
        if since_flow == 500:
            client.send(raw.FLOW, [(1, 0), (2, 500)])
            since_flow = 0
    client.writer.close()


def budgets(server):
    status, text = server.rest("GET", "/metrics")
    assert status == 200
    found = re.findall(r'geminga_memory_(budget|used)_bytes\{budget="(\w+)"\} (\d+)', text)
    return {(kind, name): int(value) for kind, name, value in found}


@contextlib.contextmanager
def many_files():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextlib.contextmanager
def memory_group():
    if why_not := cgroup.why_not():
        print(f"without a cgroup: {why_not}")
        yield None
        return
    group = cgroup.MemoryGroup(LIMIT_MIB + KERNEL_MIB)
    try:
        yield group
    finally:
        group.remove()


def the_server(process):
    """It, or what it was started under, which has one child."""
    children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return int(children[0]) if children else process.pid


@pytest.mark.parametrize("disk", ["a disk as it is", "a slow disk"])
def test_the_peak_stays_under_the_limit_and_nothing_is_lost(disk):
    slow_disk = SLOW_DISK if disk == "a slow disk" else []
    with many_files(), memory_group() as group:
        enter = group.prefix if group else []
        with Server({"memoryLimitMb": LIMIT_MIB}, prefix=slow_disk + enter) as server:
            report = peak_under_load(server)
            if group:
                report += f", {group.peak_mib():.0f} MiB with page cache and kernel"
    print(f"{disk}: {report}")
    if folder := os.environ.get("GEMINGA_REPORT_DIR", ROOT / "target/soak" if SOAK else None):
        (pathlib.Path(folder) / f"memory-{'slow' if slow_disk else 'plain'}.txt").write_text(report + "\n")


def peak_under_load(server):
    slow = [slow_consumer(server.url, index, number)
            for index in range(TOPICS) for number in range(SLOW_PER_TOPIC)]
    receipted = asyncio.run(produce_all(server.url))
    held = budgets(server)
    # It was the governor that held back, not a lack of work (the kernel's buffers take much).
    assert held["budget", "delivery"] * 0.7 < held["used", "delivery"], held
    # Each connection may be one delivery beyond what all may hold.
    assert held["used", "delivery"] < held["budget", "delivery"] * 1.5, held
    assert held["used", "tail_cache"] <= held["budget", "tail_cache"], held

    async def check():
        await asyncio.gather(*(consume_all(server.url, i, receipted) for i in range(TOPICS)))

    asyncio.run(check())
    peak = peak_mib(the_server(server.process))
    assert peak < LIMIT_MIB
    for connection in slow:
        connection.close()
    return (f"{CONNECTIONS} producers, {len(slow)} slow consumers, {len(receipted)} receipts, "
            f"peak RSS {peak:.0f} MiB of {LIMIT_MIB}")
