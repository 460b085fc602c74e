"""What a peer may do to the binary: every limit, and bytes that are no protocol.

Each ends with a clear line in the log and the right answer or a close, and the server then serves others.
"""

import os
import random
import socket
import struct
import threading
import time

import pulsar
import pytest
import raw
from server import Server, wait_for

LOOKUP, LOOKUP_RESPONSE, PARTITIONED_METADATA, PARTITIONED_METADATA_RESPONSE = 23, 24, 21, 22
NOT_ALLOWED, TOO_MANY_REQUESTS, CHECKSUM_ERROR = 22, 14, 9
SEND_ERROR = 8
TOPIC = "persistent://public/default/hostile"


@pytest.fixture(scope="module")
def server():
    with Server() as server:
        yield server


@pytest.fixture(autouse=True)
def serves_others_afterwards(request):
    yield
    if "server" in request.node.funcargs:
        is_unharmed(request.node.funcargs["server"])


def is_unharmed(server):
    assert server.process.poll() is None, server.tail()
    assert "panicked" not in server.log.read_text(errors="replace")
    logger = pulsar.ConsoleLogger(pulsar.LoggerLevel.Error)
    client = pulsar.Client(server.url, logger=logger, operation_timeout_seconds=20)
    consumer = client.subscribe("after", "s")
    client.create_producer("after").send(b"fine")
    assert consumer.receive(20_000).data() == b"fine"
    client.close()
    assert server.rest("GET", "/admin/v2/brokers/health") == (200, "ok")


def dial(url):
    host, port = url.split("://")[1].split(":")
    return socket.create_connection((host, int(port)), 30)


def logged(server, *words):
    def is_there():
        lines = server.log.read_text(errors="replace").splitlines()
        return any(all(word in line for word in words) for line in lines)
    wait_for(is_there, what=f"a line of log with {words}")


def read_to_end(stream):
    """All that comes until the server closes; a reset is a close too."""
    data = b""
    try:
        while part := stream.recv(1 << 16):
            data += part
    except ConnectionResetError:
        pass
    return data


def one_frame(data):
    return next(raw.frames(data))


@pytest.mark.parametrize("seed", range(20))
def test_random_bytes_on_both_ports(server, seed):
    randomness = random.Random(seed)
    for url in (server.url, server.web):
        stream = dial(url)
        try:
            for _ in range(randomness.randrange(1, 5)):
                stream.sendall(randomness.randbytes(randomness.randrange(1, 50_000)))
            stream.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # It was closed before all was sent.
        read_to_end(stream)
        stream.close()
    logged(server, "WARN", "peer=", "connection closed")


def test_an_oversized_frame(server):
    connection = raw.Connection(server.url)
    connection.socket.sendall(struct.pack(">II", 1 << 30, 100))
    read_to_end(connection.socket)
    logged(server, "broke the protocol", str((1 << 30) + 4), "limit")


def test_a_truncated_frame(server):
    connection = raw.Connection(server.url)
    whole = raw.frame(raw.PRODUCER, raw.message([(1, TOPIC), (2, 1), (3, 1)]))
    connection.socket.sendall(whole[:-3])
    connection.socket.shutdown(socket.SHUT_WR)
    assert read_to_end(connection.socket) == b""
    logged(server, "closed by its client inside a frame")


def test_an_unknown_command(server):
    connection = raw.Connection(server.url)
    command = raw.message([(1, 99)])
    connection.socket.sendall(struct.pack(">II", 4 + len(command), len(command)) + command)
    read_to_end(connection.socket)
    logged(server, "broke the protocol", "99")


def test_a_bad_checksum(server):
    connection = raw.Connection(server.url)
    connection.send(raw.PRODUCER, [(1, TOPIC), (2, 1), (3, 1)])
    name = connection.expect(raw.PRODUCER_SUCCESS)[0][2].decode()
    entry = struct.pack(">HI", 0x0E01, 0xBAD) + raw.entry(name, 0, b"x")
    connection.send(raw.SEND, [(1, 1), (2, 0), (3, 1)], entry)
    kind, body, _ = connection.receive()
    assert (kind, body[1], body[2], body[3]) == (SEND_ERROR, 1, 0, CHECKSUM_ERROR), body
    connection.send(raw.SEND, [(1, 1), (2, 1), (3, 1)], raw.entry(name, 1, b"x"))
    assert connection.receive()[0] == raw.SEND_RECEIPT, "the producer goes on"
    connection.close()
    logged(server, "WARN", "checksum")


def test_a_client_that_says_nothing_and_one_that_never_ends():
    with Server(settings={"keepAliveIntervalSeconds": 1}) as server:
        begun = time.monotonic()
        silent = dial(server.url)
        assert read_to_end(silent) == b""
        assert time.monotonic() - begun < 30
        logged(server, "connection closed", "no CONNECT")
        # Connected, and then without a PONG.
        mute = raw.Connection(server.url)
        assert b"" != read_to_end(mute.socket), "it was asked with a PING"
        logged(server, "connection closed", "not even a PONG")
        assert server.terminate() == 0


@pytest.mark.parametrize("key", ["brokerMaxConnections", "brokerMaxConnectionsPerIp"])
def test_connections(key):
    with Server(settings={key: 2}) as server:
        first, second = raw.Connection(server.url), raw.Connection(server.url)
        third = dial(server.url)
        kind, body, _ = one_frame(read_to_end(third))
        assert (kind, body[2]) == (raw.ERROR, NOT_ALLOWED), body
        assert key.encode() in body[3] and b"2" in body[3]
        logged(server, "WARN", "refused", key)
        first.close()

        def fits():
            try:
                return raw.Connection(server.url)
            except (ConnectionError, AssertionError):
                return None
        wait_for(fits).close()
        second.close()


def test_lookups():
    with Server(settings={"maxConcurrentLookupRequest": 0}) as server:
        connection = raw.Connection(server.url)
        connection.send(LOOKUP, [(1, TOPIC), (2, 7)])
        body, _ = connection.expect(LOOKUP_RESPONSE)
        assert (body[4], body[6]) == (7, TOO_MANY_REQUESTS), body
        assert b"maxConcurrentLookupRequest" in body[7]
        connection.close()


def test_more_topic_loads_than_may_run_wait_their_turn():
    with Server(settings={"maxConcurrentTopicLoadRequest": 1}) as server:
        connection = raw.Connection(server.url)
        for number in range(200):
            connection.send(raw.PRODUCER, [(1, f"{TOPIC}-{number}"), (2, number), (3, number)])
        opened = {connection.expect(raw.PRODUCER_SUCCESS)[0][1] for _ in range(200)}
        assert opened == set(range(200))
        connection.close()


def test_more_publishes_than_may_wait_are_slowed_and_all_receipted():
    with Server(settings={"maxPendingPublishRequestsPerConnection": 2}) as server:
        connection = raw.Connection(server.url)
        connection.send(raw.PRODUCER, [(1, TOPIC), (2, 1), (3, 1)])
        name = connection.expect(raw.PRODUCER_SUCCESS)[0][2].decode()
        count = 2000

        def send():
            for number in range(count):
                entry = raw.entry(name, number, os.urandom(1000))
                connection.send(raw.SEND, [(1, 1), (2, number), (3, 1)], entry)
        sender = threading.Thread(target=send)
        sender.start()
        receipts = [connection.expect(raw.SEND_RECEIPT)[0][2] for _ in range(count)]
        sender.join()
        assert receipts == list(range(count))
        connection.close()
