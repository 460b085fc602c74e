"""Bundles that are split while clients are connected.

Goal: nothing is lost and nobody has to connect anew: producers and consumers go on by themselves.
Method: messages are published to several topics of one namespace while its bundles are split, unloaded and
given up over REST; each consumer has to have what its topic's producer was told is stored, in order.
"""

import json
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

from server import wait_for

TOPICS = 6
ROUNDS = 4


def boundaries(server, namespace):
    status, text = server.rest("GET", f"/admin/v2/namespaces/{namespace}/bundles")
    assert status == 200, text
    return json.loads(text)["boundaries"]


def change(server, method, path):
    status, text = server.rest(method, path, b"")
    assert status == 204, text


def is_split(server, path):
    """Not while no topic is in use again: nothing is hot then."""
    return server.rest("PUT", path, b"")[0] == 204


def test_clients_go_on_while_bundles_are_split(shared_server, client):
    namespace = f"public/split-{uuid.uuid4().hex}"
    path = f"/admin/v2/namespaces/{namespace}"
    status, text = shared_server.rest("PUT", path, b'{"bundles": {"numBundles": 1}}')
    assert status == 204, text
    topics = [f"persistent://{namespace}/t-{n}" for n in range(TOPICS)]
    consumers = [client.subscribe(topic, "s") for topic in topics]
    producers = [client.create_producer(topic, send_timeout_millis=60_000) for topic in topics]
    stored = [[] for _ in topics]
    is_done = threading.Event()

    def publish(index):
        number = 0
        while not is_done.is_set() or number < 100:
            producers[index].send(str(number).encode())
            stored[index].append(number)
            number += 1

    with ThreadPoolExecutor(TOPICS) as pool:
        publishing = [pool.submit(publish, index) for index in range(TOPICS)]
        try:
            for _ in range(ROUNDS):
                change(shared_server, "PUT", f"{path}/LARGEST/split?unload=true")
                wait_for(lambda: is_split(shared_server, f"{path}/HOT/split"), what="split of the hottest")
                ends = boundaries(shared_server, namespace)
                change(shared_server, "DELETE", f"{path}/{ends[0]}_{ends[1]}?force=true")
        finally:
            is_done.set()
        for one in publishing:
            one.result()
    assert ROUNDS + 1 < len(boundaries(shared_server, namespace))
    for consumer, numbers in zip(consumers, stored):
        found = []
        while len(set(found)) < len(numbers):
            message = consumer.receive(30_000)
            found.append(int(message.data()))
            consumer.acknowledge(message)
        # A message whose receipt was lost is sent again: there is no deduplication.
        assert list(dict.fromkeys(found)) == numbers
