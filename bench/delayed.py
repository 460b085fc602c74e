"""Very many delayed messages on one topic: what they cost, how long a restart takes, how late they are.

Publishes `--messages` messages, one by one (clients do not batch delayed ones), each due at a random time
within a window that begins when all are published; a Shared consumer is attached meanwhile. Kills the
server, starts it again, and measures the time until an official client has a message that fell due
meanwhile. Then receives everything: each message once, none before its time. A message's lateness is from
its time to the client's receipt, of those only that were due after the restart. All processes share the
machine, so the clock is one. Prints one JSON object. Needs the official client, `pulsar-client`.
"""

import argparse
import array
import json
import multiprocessing
import pathlib
import random
import re
import sys
import threading
import time

import pulsar

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests"))
import server as servers  # noqa: E402

TOPIC = "persistent://public/default/delayed"
STATS = "/admin/v2/persistent/public/default/delayed/stats"
SUBSCRIPTION = "s"
TIMEOUT = 300


def memory(process):
    """Resident MiB of a process now, and its peak."""
    text = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    kib = {key: int(value) for key, value in re.findall(r"(VmRSS|VmHWM):\s+(\d+) kB", text)}
    return {"rss_mib": round(kib["VmRSS"] / 1024, 1), "peak_mib": round(kib["VmHWM"] / 1024, 1)}


def percentiles(values):
    values = sorted(values)
    at = lambda share: round(values[min(len(values) - 1, int(len(values) * share))], 1)  # noqa: E731
    return {"p50": at(0.5), "p99": at(0.99), "max": round(values[-1], 1), "count": len(values)}


def connect(server_url):
    return pulsar.Client(server_url, logger=pulsar.ConsoleLogger(pulsar.LoggerLevel.Error))


def publish_part(url, numbers, begin, window, seed):
    """One process's part. The payload says which message it is and when it is due."""
    client = connect(url)
    producer = client.create_producer(
        TOPIC, batching_enabled=False, max_pending_messages=5_000, block_if_queue_full=True)
    draw, failures = random.Random(seed), []
    left = len(numbers)
    done = threading.Event()

    def sent(result, _):
        nonlocal left
        left -= 1
        if result != pulsar.Result.Ok:
            failures.append(result)
        if left == 0:
            done.set()

    for number in numbers:
        due = begin + draw.randrange(window)
        payload = number.to_bytes(8, "big") + due.to_bytes(8, "big")
        producer.send_async(payload, sent, deliver_at=due)
    assert done.wait(TIMEOUT) and not failures, (left, failures[:3])
    client.close()


def publish(server, options, begin):
    parts = [
        multiprocessing.Process(target=publish_part, args=(
            server.url, range(part, options.messages, options.producers), begin,
            options.window * 1000, options.seed * 1000 + part))
        for part in range(options.producers)
    ]
    for part in parts:
        part.start()
    for part in parts:
        part.join()
        assert part.exitcode == 0, "a producer failed"


def subscription(server):
    return server.get(STATS)["subscriptions"][SUBSCRIPTION]


def until_delayed(server, count):
    """Waits until the subscription knows of so many delayed messages."""
    deadline = time.monotonic() + TIMEOUT
    while (delayed := subscription(server)["msgDelayed"]) < count:
        assert time.monotonic() < deadline, f"{delayed} of {count} are known"
        time.sleep(0.05)


def subscribe(client):
    return client.subscribe(
        TOPIC, SUBSCRIPTION, consumer_type=pulsar.ConsumerType.Shared, receiver_queue_size=10_000)


def parse(message):
    payload, now = message.data(), time.time() * 1000
    return int.from_bytes(payload[:8], "big"), int.from_bytes(payload[8:], "big"), now


def receive_all(consumer, count, begin, ready):
    """Receives and acks until all have come; each must come once, and none before its time."""
    # Of a fixed size: a set of ten million stands still for a quarter of a second when it grows, which would
    # count as the server's lateness.
    is_found, late = bytearray(count), array.array("d", bytes(8 * count))
    found, measured, early = 0, 0, 0
    time.sleep(max(0, begin / 1000 - time.time()))
    began = time.perf_counter()
    while found < count:
        message = consumer.receive(TIMEOUT * 1000)
        number, due, now = parse(message)
        assert not is_found[number], f"message {number} came twice"
        is_found[number] = 1
        found += 1
        early += now < due
        if ready < due:
            late[measured] = now - due
            measured += 1
        consumer.acknowledge(message)
    took = time.perf_counter() - began
    assert early == 0, f"{early} messages came before their time"
    return {
        "messages": found, "early": early, "per_s": round(count / took), "late_ms": percentiles(late[:measured])}


def note(report, key, value):
    report[key] = value
    print(f"{key}: {json.dumps(value)}", file=sys.stderr, flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--rate", type=int, default=12_000, help="messages per second that publishing reaches")
    parser.add_argument("--window", type=int, help="seconds over which messages are due")
    parser.add_argument("--producers", type=int, default=2, help="processes that publish")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    options.window = options.window or max(20, options.messages // 8_000)
    report = {"messages": options.messages, "window_s": options.window, "seed": options.seed}
    server = servers.Server(dict(setting.split("=", 1) for setting in options.set))
    try:
        run(server, options, report)
    except servers.Failed as error:
        print(error, file=sys.stderr)
        raise
    finally:
        server.remove()
    print(json.dumps(report, indent=1))


def run(server, options, report):
    server.start()
    client = connect(server.url)
    consumer = subscribe(client)
    note(report, "empty", memory(server.process))
    began = time.time()
    # Nothing is to be due before all is published and the server is up again.
    begin = int((began + options.messages / options.rate + 30) * 1000)
    publish(server, options, begin)
    took = time.time() - began
    assert time.time() * 1000 < begin, "publishing took too long: give a lower --rate"
    note(report, "published", {"per_s": round(options.messages / took), **memory(server.process)})
    until_delayed(server, options.messages)
    note(report, "known", memory(server.process))

    # Due while the server is down.
    number, due = options.messages, int(time.time() * 1000) + 1_500
    payload = number.to_bytes(8, "big") + due.to_bytes(8, "big")
    producer = client.create_producer(TOPIC, batching_enabled=False)
    producer.send(payload, deliver_at=due)
    client.close()
    server.kill()
    while time.time() * 1000 <= due:
        time.sleep(0.01)
    began = time.perf_counter()
    server.start(timeout=120)
    client = connect(server.url)
    consumer = subscribe(client)
    first = consumer.receive(TIMEOUT * 1000)
    took = (time.perf_counter() - began) * 1000
    assert parse(first)[0] == number, "another message came first"
    consumer.acknowledge(first)
    until_delayed(server, options.messages)
    known = (time.perf_counter() - began) * 1000
    note(report, "after_kill", {
        "ready_ms": server.ready_ms, "first_message_ms": round(took), "known_ms": round(known),
        **memory(server.process)})
    ready = time.time() * 1000
    note(report, "received", receive_all(consumer, options.messages, begin, ready))
    note(report, "received_memory", memory(server.process))
    try:
        extra = parse(consumer.receive(2_000))[0]
        raise AssertionError(f"message {extra} came behind the last one")
    except pulsar.Timeout:
        pass
    client.close()


if __name__ == "__main__":
    main()
