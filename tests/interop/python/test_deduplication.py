"""Deduplication with the official Python client, on the C++ one."""

import socket
import threading

import pulsar
import pytest
from server import Server, wait_for

TOPIC = "persistent://public/default/dedup"


@pytest.fixture
def server():
    with Server({"brokerDeduplicationEnabled": "true"}) as server:
        yield server


class Proxy:
    """A way to the server that can be cut: what the server says from then on is lost."""

    def __init__(self, server):
        self.target = ("127.0.0.1", int(server.url.rsplit(":", 1)[1]))
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.is_deaf = False
        self.pairs = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            far = socket.create_connection(self.target)
            self.pairs.append((near, far))
            threading.Thread(target=self.copy, args=(near, far, False), daemon=True).start()
            threading.Thread(target=self.copy, args=(far, near, True), daemon=True).start()

    def copy(self, source, to, is_answer):
        try:
            while data := source.recv(1 << 16):
                if not (is_answer and self.is_deaf):
                    to.sendall(data)
        except OSError:
            pass

    def cut(self):
        pairs, self.pairs = self.pairs, []
        for near, far in pairs:
            for end in (near, far):
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
                end.close()

    def close(self):
        self.listener.close()
        self.cut()


def numbers(server):
    """What is stored, in order."""
    client = pulsar.Client(server.url, logger=pulsar.ConsoleLogger(pulsar.LoggerLevel.Error))
    reader = client.create_reader(TOPIC, pulsar.MessageId.earliest)
    found = []
    while reader.has_message_available():
        found.append(int(reader.read_next(10_000).data()))
    client.close()
    return found


@pytest.mark.parametrize("batches", [False, True])
def test_what_is_resent_after_a_cut_is_stored_once(server, batches):
    """Goal: receipts that are lost cost nothing.

    Method: the server's answers are held back, so the messages are stored and the client does not know;
    then its connection is cut, and it sends all of them again.
    """
    proxy = Proxy(server)
    # The name of the server must be the proxy's: clients connect to what LOOKUP says.
    server.kill()
    server.settings["advertisedListeners"] = f"proxied:pulsar://127.0.0.1:{proxy.port}"
    server.start()
    client = pulsar.Client(
        f"pulsar://127.0.0.1:{proxy.port}", listener_name="proxied",
        logger=pulsar.ConsoleLogger(pulsar.LoggerLevel.Error),
    )
    keeper = client.subscribe(TOPIC, "keeper")
    producer = client.create_producer(
        TOPIC, producer_name="p", send_timeout_millis=0, batching_enabled=batches,
        batching_max_publish_delay_ms=5,
    )
    producer.send(b"0")
    proxy.is_deaf = True
    sent = []
    for number in range(1, 50):
        producer.send_async(str(number).encode(), lambda result, _: sent.append(result))
    entries = f"/admin/v2/persistent/public/default/{TOPIC.rsplit('/', 1)[1]}/stats"
    wait_for(lambda: 50 <= server.get(entries)["msgInCounter"], what="all are sent")
    assert not sent
    proxy.is_deaf = False
    proxy.cut()
    wait_for(lambda: len(sent) == 49, what="all have receipts")
    assert set(sent) == {pulsar.Result.Ok}
    keeper.close()
    client.close()
    proxy.close()
    assert numbers(server) == list(range(50))


def test_an_application_goes_on_behind_its_last_message(server):
    """Goal: `last_sequence_id` tells where to go on, also after a kill; what is behind it is dropped."""
    def open_producer():
        client = pulsar.Client(server.url, logger=pulsar.ConsoleLogger(pulsar.LoggerLevel.Error))
        client.subscribe(TOPIC, "keeper", pulsar.ConsumerType.Shared)
        return client, client.create_producer(TOPIC, producer_name="p", batching_enabled=False)

    client, producer = open_producer()
    assert producer.last_sequence_id() == -1
    for number in (0, 1, 2, 2, 0, 3):
        producer.send(str(number).encode(), sequence_id=number)
    client.close()
    server.restart()
    client, producer = open_producer()
    assert producer.last_sequence_id() == 3
    for number in range(1, 6):
        producer.send(str(number).encode(), sequence_id=number)
    client.close()
    assert numbers(server) == list(range(6))
