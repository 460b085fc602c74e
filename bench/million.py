"""Very many topics on one node: what they cost, and what they may not slow down.

Creates topics through the server, opens a producer on some, and measures resident memory (from
/proc), the time to the first message of a topic that is not loaded, how long publishers pause while
all topics are listed, and how long the server takes to be ready after a clean and an unclean stop.
Prints one JSON object. Standard library only.
"""

import argparse
import asyncio
import json
import multiprocessing
import pathlib
import random
import re
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests"))
import raw  # noqa: E402
import server as servers  # noqa: E402

NAMESPACE = "public/default"
GET_TOPICS, TOPICS = 32, 33
CREATING_CONNECTIONS = 128


def topic(index):
    return f"persistent://{NAMESPACE}/topic-{index:07}"


def memory(process):
    """Resident MiB of a process now, and its peak."""
    text = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    kib = {key: int(value) for key, value in re.findall(r"(VmRSS|VmHWM):\s+(\d+) kB", text)}
    return {"rss_mib": round(kib["VmRSS"] / 1024, 1), "peak_mib": round(kib["VmHWM"] / 1024, 1)}


def address(url):
    host, port = url.split("://")[1].split(":")
    return host, int(port)


async def create(web, count):
    """PUTs every topic, over connections that are kept."""
    host, port = address(web)
    indexes = iter(range(count))

    async def worker():
        reader, writer = await asyncio.open_connection(host, port)
        for index in indexes:
            path = f"/admin/v2/persistent/{NAMESPACE}/topic-{index:07}"
            writer.write(f"PUT {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 204"), head
        writer.close()

    await asyncio.gather(*(worker() for _ in range(CREATING_CONNECTIONS)))


def produce(url, indexes, connections_max):
    """Opens a producer on each topic; returns the connections and who is on which."""
    count = min(connections_max, len(indexes))
    shares = [indexes[at::count] for at in range(count)]
    connections = []
    for share in shares:
        connection = raw.Connection(url, 120)
        # In portions: an answer each has to find room in the socket.
        for begin in range(0, len(share), 200):
            for producer, index in list(enumerate(share))[begin:begin + 200]:
                fields = [(1, topic(index)), (2, producer), (3, producer)]
                connection.send(raw.PRODUCER, fields)
            for _ in share[begin:begin + 200]:
                connection.expect(raw.PRODUCER_SUCCESS)
        connections.append((connection, share))
    return connections


def send_one_each(connections, sequence):
    for connection, share in connections:
        for begin in range(0, len(share), 200):
            portion = range(begin, min(begin + 200, len(share)))
            for producer in portion:
                body = [(1, producer), (2, sequence), (3, 1)]
                connection.send(raw.SEND, body, raw.entry("bench", sequence, bytes(100)))
            for _ in portion:
                connection.expect(raw.SEND_RECEIPT)


def first_message(url, index):
    """Milliseconds from PRODUCER to the receipt of a topic's first message."""
    connection = raw.Connection(url, 120)
    began = time.perf_counter()
    connection.send(raw.PRODUCER, [(1, topic(index)), (2, 0), (3, 0)])
    connection.expect(raw.PRODUCER_SUCCESS)
    connection.send(raw.SEND, [(1, 0), (2, 0), (3, 1)], raw.entry("bench", 0, bytes(100)))
    connection.expect(raw.SEND_RECEIPT)
    took = (time.perf_counter() - began) * 1000
    connection.close()
    return took


def percentiles(values):
    values = sorted(values)
    at = lambda share: round(values[min(len(values) - 1, int(len(values) * share))], 2)  # noqa: E731
    return {"p50": at(0.5), "p99": at(0.99), "max": round(values[-1], 2), "count": len(values)}


def publish_until(url, pipe):
    """In a process of its own: one message after the other; says how long each took, by when."""
    connection = raw.Connection(url, 120)
    connection.send(raw.PRODUCER, [(1, f"persistent://{NAMESPACE}/prober"), (2, 0), (3, 0)])
    connection.expect(raw.PRODUCER_SUCCESS)
    sequence, times = 0, []
    pipe.send("ready")
    while not pipe.poll():
        began = time.perf_counter()
        connection.send(raw.SEND, [(1, 0), (2, sequence), (3, 1)], raw.entry("p", sequence, bytes(100)))
        connection.expect(raw.SEND_RECEIPT)
        sequence += 1
        times.append((time.perf_counter() - began) * 1000)
    pipe.send(times)


def pauses(url, during):
    """What publishers see while `during` runs in another process."""
    mine, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=publish_until, args=(url, theirs))
    process.start()
    assert mine.recv() == "ready"
    began = time.perf_counter()
    result = during()
    took = time.perf_counter() - began
    mine.send("stop")
    times = mine.recv()
    process.join()
    return {"publish_ms": percentiles(times), "took_s": round(took, 2), "result": result}


def list_by_rest(server):
    _, text = server.rest("GET", f"/admin/v2/persistent/{NAMESPACE}")
    return text.count("persistent://")


def list_by_protocol(server):
    connection = raw.Connection(server.url, 120)
    connection.send(GET_TOPICS, [(1, 1), (2, NAMESPACE), (3, 0)])
    while True:
        # Only the beginning is looked at: parsing all of it in Python would take longer than the server.
        while len(connection.buffer) < 8:
            connection.buffer += connection.socket.recv(1 << 20)
        size = int.from_bytes(connection.buffer[:4], "big")
        parts, have = [connection.buffer], len(connection.buffer)
        while have < size + 4:
            part = connection.socket.recv(1 << 20)
            if not part:
                return f"closed after {have} of {size} bytes"
            parts.append(part)
            have += len(part)
        data = b"".join(parts)
        frame, connection.buffer = data[:size + 4], data[size + 4:]
        kind = raw.parse(frame[8:8 + int.from_bytes(frame[4:8], "big")])
        if kind[1] == TOPICS:
            connection.close()
            return {"names": frame.count(b"persistent://"), "frame_bytes": size}
        if kind[1] == raw.ERROR:
            return {"refused": raw.parse(kind[raw.ERROR]).get(3, b"").decode(), "frame_bytes": size}
        if kind[1] == raw.PING:
            connection.send(raw.PONG, [])


def stopped_and_started(server, how):
    began = time.perf_counter()
    how()
    took = time.perf_counter() - began
    server.start(timeout=120)
    return {"stop_s": round(took, 2), "ready_ms": server.ready_ms, **memory(server.process)}


def note(report, key, value):
    report[key] = value
    print(f"{key}: {json.dumps(value)}", file=sys.stderr, flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--topics", type=int, default=100_000)
    parser.add_argument("--active", type=int, help="topics with a producer; 1 %% by default")
    parser.add_argument("--connections", type=int, default=20)
    parser.add_argument("--cold", type=int, default=50, help="topics whose first message is timed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    active = options.active if options.active is not None else options.topics // 100
    draw = random.Random(options.seed)
    report = {"topics": options.topics, "active": active, "seed": options.seed}
    server = servers.Server(dict(setting.split("=", 1) for setting in options.set))
    try:
        run(server, options, active, draw, report)
    except servers.Failed as error:
        print(error, file=sys.stderr)
        raise
    finally:
        server.remove()
    print(json.dumps(report, indent=1))


def run(server, options, active, draw, report):
    server.start()
    note(report, "idle", memory(server.process))
    began = time.perf_counter()
    asyncio.run(create(server.web, options.topics))
    took = time.perf_counter() - began
    note(report, "created", {"per_s": round(options.topics / took), **memory(server.process)})

    chosen = draw.sample(range(options.topics), active + 2 * options.cold)
    busy, cold, later = chosen[:active], chosen[active:-options.cold], chosen[-options.cold:]
    connections = produce(server.url, busy, options.connections)
    note(report, "producers", memory(server.process))
    send_one_each(connections, 0)
    note(report, "after_one_message_each", memory(server.process))
    note(report, "cold_ms", percentiles([first_message(server.url, index) for index in cold]))

    note(report, "publishing_alone", pauses(server.url, lambda: time.sleep(5)))
    note(report, "listing_by_rest", pauses(server.url, lambda: list_by_rest(server)))
    note(report, "listing_by_protocol", pauses(server.url, lambda: list_by_protocol(server)))
    note(report, "after_listing", memory(server.process))
    for connection, _ in connections:
        connection.close()

    note(report, "clean_stop", stopped_and_started(server, lambda: server.terminate(120)))
    note(report, "cold_after_restart_ms", percentiles([first_message(server.url, i) for i in later]))
    note(report, "unclean_stop", stopped_and_started(server, server.kill))
    sizes = {path.name: path.stat().st_size >> 20 for path in server.data.rglob("*.redb")}
    note(report, "metadata_mib", sizes)


if __name__ == "__main__":
    main()
