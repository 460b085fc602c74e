"""A receipt means: on disk, synced. Shown on the release binary, by what it asks of the kernel.

`kill -9` does not show it: the page cache survives that. So `strace` delays the syncs, fails them,
and lists them in order with what was written before and sent after.
"""

import re
import time

import pulsar
import pytest
import raw
from server import Server, wait_for

SYNCS = "fsync,fdatasync,sync_file_range,syncfs,msync"
DELAY = 0.3


def quiet_client(server):
    logger = pulsar.ConsoleLogger(pulsar.LoggerLevel.Error)
    return pulsar.Client(server.url, logger=logger, operation_timeout_seconds=60)


@pytest.fixture(scope="module")
def slow_disk():
    """A server whose every sync takes 300 ms longer, from before it is made to after."""
    delay = int(DELAY * 1_000_000)
    prefix = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={SYNCS}",
              "-e", f"inject={SYNCS}:delay_enter={delay}"]
    server = Server(prefix=prefix)
    server.start(timeout=120)
    yield server
    server.remove()


def took(action):
    begun = time.monotonic()
    result = action()
    return time.monotonic() - begun, result


def test_no_receipt_before_the_sync(slow_disk):
    client = quiet_client(slow_disk)
    producer = client.create_producer("receipts", batching_enabled=False)
    producer.send(b"first")
    for _ in range(5):
        seconds, _ = took(lambda: producer.send(b"x"))
        assert DELAY <= seconds, seconds
    client.close()


def test_no_success_of_a_durable_subscribe_before_the_sync(slow_disk):
    client = quiet_client(slow_disk)
    client.create_producer("subscribes").send(b"x")
    for n in range(3):
        seconds, consumer = took(lambda: client.subscribe("subscribes", f"s{n}"))
        assert DELAY <= seconds, seconds
        consumer.close()
        seconds, _ = took(lambda: client.subscribe("subscribes", f"s{n}"))
        assert seconds < DELAY, "an existing subscription needs no sync"
    client.close()


def test_no_ack_response_before_the_sync(slow_disk):
    client = quiet_client(slow_disk)
    client.subscribe("acks", "s").close()
    producer = client.create_producer("acks", batching_enabled=False)
    for _ in range(5):
        producer.send(b"x")
    connection = raw.Connection(slow_disk.url)
    topic = "persistent://public/default/acks"
    connection.send(raw.SUBSCRIBE, [(1, topic), (2, "s"), (3, 0), (4, 1), (5, 1)])
    connection.expect(raw.SUCCESS)
    connection.send(raw.FLOW, [(1, 1), (2, 100)])
    ids = [connection.expect(raw.MESSAGE)[0][2] for _ in range(5)]
    for n, message_id in enumerate(ids):
        begun = time.monotonic()
        connection.send(raw.ACK, [(1, 1), (2, 0), (3, message_id), (8, 100 + n)])
        answer, _ = connection.expect(raw.ACK_RESPONSE)
        assert answer[6] == 100 + n and 4 not in answer, answer
        assert DELAY <= time.monotonic() - begun
    connection.close()
    client.close()


def test_no_2xx_of_a_create_before_the_sync(slow_disk):
    creates = [
        ("PUT", "/admin/v2/tenants/t", {"adminRoles": [], "allowedClusters": ["standalone"]}),
        ("PUT", "/admin/v2/namespaces/t/n", None),
        ("PUT", "/admin/v2/persistent/t/n/plain", None),
        ("PUT", "/admin/v2/persistent/t/n/parts/partitions", 2),
        ("PUT", "/admin/v2/persistent/t/n/plain/subscription/s", None),
    ]
    for method, path, body in creates:
        seconds, (status, text) = took(lambda: slow_disk.rest(method, path, body))
        assert 200 <= status < 300, (path, status, text)
        assert DELAY <= seconds, (path, seconds)


def test_after_a_failed_sync_nothing_is_receipted_and_the_process_says_why():
    server = Server(settings={"managedLedgerMaxEntriesPerLedger": 1000})
    # Metadata and the first messages need syncs of their own; the journal's thread counts alone.
    server.prefix = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync",
                     "-e", "inject=fdatasync:error=EIO:when=50+"]
    server.start()
    try:
        client = quiet_client(server)
        client.subscribe("failing", "s").close()
        producer = client.create_producer("failing", batching_enabled=False, send_timeout_millis=3000)
        receipted = []
        with pytest.raises(Exception):
            for n in range(500):
                producer.send(str(n).encode())
                receipted.append(n)
        assert 10 < len(receipted) < 100
        status = server.process.wait(30)
        assert status != 0, "it must stop with an error"
        assert "EIO" in server.tail() or "Input/output error" in server.tail(), server.tail()
        try:
            client.close()
        except Exception:
            pass
        server.prefix = []
        server.start()
        client = quiet_client(server)
        consumer = client.subscribe("failing", "s")
        found = [int(consumer.receive(10_000).data()) for _ in receipted]
        assert found == receipted
        client.close()
    finally:
        server.remove()


CALL = re.compile(r"^(\d+) +(?:<\.\.\. )?(\w+)(?:\(| resumed>)(.*)$")


def traced_calls(text):
    """Yields (name, arguments, began line, ended line) for each call of an `strace -f` listing."""
    open_calls = {}
    for at, line in enumerate(text.splitlines()):
        match = CALL.match(line)
        if not match:
            continue
        thread, name, rest = match.groups()
        if rest.endswith("<unfinished ...>"):
            open_calls[thread] = (name, rest[:-len("<unfinished ...>")], at)
        elif "resumed>" in line.split("(")[0]:
            begun = open_calls.pop(thread, None)
            if begun:
                yield begun[0], begun[1] + rest, begun[2], at
        else:
            yield name, rest, at, at


def written_bytes(arguments):
    """What a traced call wrote: strace prints strings as \\x.. with -xx."""
    return b"".join(
        bytes.fromhex(part.replace("\\x", "")) for part in re.findall(r'"((?:\\x[0-9a-f]{2})*)"', arguments)
    )


def test_every_receipt_follows_a_sync_that_began_after_its_bytes_were_written():
    """Goal: the order is write, sync, receipt, for each message. Method: read it off a trace."""
    server = Server()
    trace = server.directory / "trace.txt"
    calls = "pwrite64,pwritev,pwritev2,fdatasync,fsync,write,writev,sendto,sendmsg"
    server.prefix = ["strace", "-f", "-qq", "-xx", "-s", "1000000", "-o", str(trace), "-e", f"trace={calls}"]
    server.start(timeout=120)
    count = 100
    try:
        connection = raw.Connection(server.url)
        topic = "persistent://public/default/traced"
        connection.send(raw.PRODUCER, [(1, topic), (2, 1), (3, 1), (4, "traced")])
        connection.expect(raw.PRODUCER_SUCCESS)
        for n in range(count):
            payload = b"MARK-%06d-" % n + bytes(50)
            connection.send(raw.SEND, [(1, 1), (2, n)], raw.entry("traced", n, payload))
            if n % 5 == 4:
                for _ in range(5):
                    connection.expect(raw.SEND_RECEIPT)
        connection.close()
        server.terminate()
        calls = list(traced_calls(trace.read_text(errors="replace")))
    finally:
        server.remove()

    written, syncs, receipts = {}, [], {}
    for name, arguments, began, ended in calls:
        descriptor = arguments.split(",")[0].split(")")[0].strip()
        if name in ("fdatasync", "fsync"):
            syncs.append((descriptor, began, ended))
            continue
        data = written_bytes(arguments)
        if name.startswith("pwrite"):
            for mark in re.findall(rb"MARK-(\d{6})-", data):
                # The first write is the journal's.
                written.setdefault(int(mark), (descriptor, ended))
        else:
            for kind, body, _ in raw.frames(data):
                if kind == raw.SEND_RECEIPT:
                    receipts[body.get(2, 0)] = began
    assert sorted(written) == list(range(count))
    assert sorted(receipts) == list(range(count))
    for n in range(count):
        descriptor, write_ended = written[n]
        assert any(
            of == descriptor and write_ended < began and ended < receipts[n]
            for of, began, ended in syncs
        ), f"message {n}: written at line {write_ended}, receipt at line {receipts[n]}, no sync between"


def test_ready_is_quick():
    with Server() as server:
        wait_for(lambda: server.rest("GET", "/admin/v2/brokers/health")[0] == 200)
