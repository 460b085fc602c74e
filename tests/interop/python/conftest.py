"""Servers and clients for the tests."""

import pathlib
import sys
import uuid

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
import pulsar  # noqa: E402
from server import Server  # noqa: E402


@pytest.fixture(scope="session")
def shared_server():
    """One server for all tests that do not restart it."""
    with Server() as server:
        yield server


@pytest.fixture
def server():
    """A server of its own."""
    with Server() as server:
        yield server


def quiet():
    return pulsar.ConsoleLogger(pulsar.LoggerLevel.Error)


@pytest.fixture
def client(shared_server):
    client = pulsar.Client(shared_server.url, logger=quiet(), operation_timeout_seconds=10)
    yield client
    client.close()


@pytest.fixture
def new_client():
    """Makes clients that are closed at the end."""
    clients = []

    def make(server, **arguments):
        arguments.setdefault("operation_timeout_seconds", 10)
        client = pulsar.Client(server.url, logger=quiet(), **arguments)
        clients.append(client)
        return client

    yield make
    for client in clients:
        try:
            client.close()
        except pulsar.AlreadyClosed:
            pass  # The test closed it.


@pytest.fixture
def topic():
    return f"persistent://public/default/t-{uuid.uuid4().hex[:12]}"
