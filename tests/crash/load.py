"""The load of a crash round, in a process of its own: official client, journal of what was promised.

Writes one line for each promise as soon as it has it, so that nothing promised before the kill is
missing: `R producer n` (receipt), `A position n` (the server confirmed the ack).
Usage: load.py URL TOPIC JOURNAL FIRST
"""

import os
import pathlib
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import pulsar  # noqa: E402
import raw  # noqa: E402

url, topic, journal, first = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
out = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def note(line):
    os.write(out, line.encode() + b"\n")


def produce(client, name):
    producer = client.create_producer(
        topic, producer_name=f"{name}-{first}", batching_enabled=name == "b",
        batching_max_publish_delay_ms=2, block_if_queue_full=True, max_pending_messages=200,
        send_timeout_millis=0,
    )
    padding = bytes(1500)
    n = first
    while True:
        number = n

        def receipted(result, _, number=number):
            if result == pulsar.Result.Ok:
                note(f"R {name} {number}")

        producer.send_async(f"{name} {number} ".encode() + padding, receipted)
        n += 1
        if n % 50 == 0:
            time.sleep(0.02)


def ack_with_receipts():
    """Consumes and acks most messages out of order, each ack confirmed by the server."""
    connection = raw.Connection(url, timeout=60)
    connection.send(raw.SUBSCRIBE, [(1, topic), (2, "acker"), (3, 1), (4, 1), (5, 1)])
    connection.expect(raw.SUCCESS)
    connection.send(raw.FLOW, [(1, 1), (2, 500)])
    waiting, request, taken = {}, 0, 0
    while True:
        kind, body, _ = connection.receive()
        if kind == raw.MESSAGE:
            taken += 1
            position = raw.parse(body[2])
            if taken % 200 == 0:
                connection.send(raw.FLOW, [(1, 1), (2, 200)])
            entry = position.get(2, 0)
            if entry % 13 != 5:
                request += 1
                waiting[request] = (position.get(1, 0), entry)
                connection.send(raw.ACK, [(1, 1), (2, 0), (3, body[2]), (8, request)])
        elif kind == raw.ACK_RESPONSE:
            if 4 not in body:
                ledger, entry = waiting.pop(body[6])
                note(f"A {ledger} {entry}")


def churn(client):
    """Sends to a topic of its own; nobody checks what comes of it."""
    producer = client.create_producer(
        topic + "-churn", batching_enabled=False, block_if_queue_full=True, max_pending_messages=100,
        send_timeout_millis=0,
    )
    while True:
        for _ in range(50):
            producer.send_async(bytes(2000), None)
        time.sleep(0.01)


def drain(client):
    """Acks everything there, so that ledgers are trimmed and entry logs collected."""
    consumer = client.subscribe(topic + "-churn", "drain", pulsar.ConsumerType.Shared)
    while True:
        consumer.acknowledge(consumer.receive())


logger = pulsar.ConsoleLogger(pulsar.LoggerLevel.Error)
client = pulsar.Client(url, logger=logger)
for target, arguments in [
    (ack_with_receipts, ()), (churn, (client,)), (drain, (client,)), (produce, (client, "a")), (produce, (client, "b")),
]:
    threading.Thread(target=target, args=arguments, daemon=True).start()
time.sleep(3600)
