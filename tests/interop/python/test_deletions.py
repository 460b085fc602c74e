"""A forced deletion of a tenant, interrupted by kill -9, with a producer that goes on sending."""

import threading
import urllib.error

import pulsar
from server import wait_for

TOPICS = 200


def topics_left(server):
    status, text = server.rest("GET", "/admin/v2/persistent/doomed/n")
    return text.count("persistent://") if status == 200 else 0


def ask(server):
    try:
        server.rest("DELETE", "/admin/v2/tenants/doomed?force=true")
    except (urllib.error.URLError, ConnectionError):
        pass  # It was killed.


def sends(client, topic):
    try:
        client.create_producer(topic).close()
        return True
    except pulsar.PulsarException:
        return False


def test_a_deletion_goes_on_after_a_kill(server, new_client):
    server.rest("PUT", "/admin/v2/tenants/doomed", {"allowedClusters": ["standalone"]})
    server.rest("PUT", "/admin/v2/namespaces/doomed/n", {})
    client = new_client(server, operation_timeout_seconds=3)
    for index in range(TOPICS):
        status, text = server.rest("PUT", f"/admin/v2/persistent/doomed/n/t-{index}")
        assert status == 204, text
    producer = client.create_producer("persistent://doomed/n/t-0", send_timeout_millis=2_000)
    producer.send(b"x")
    asked = threading.Thread(target=ask, args=(server,))
    asked.start()
    wait_for(lambda: topics_left(server) < TOPICS, what="the deletion has begun")
    server.kill()
    asked.join()
    server.start()
    wait_for(lambda: server.rest("GET", "/admin/v2/tenants/doomed")[0] == 404, what="the tenant is gone")
    assert server.rest("GET", "/admin/v2/namespaces/doomed/n")[0] == 404
    assert topics_left(server) == 0
    assert not sends(client, "persistent://doomed/n/t-0")
    status, text = server.rest("PUT", "/admin/v2/tenants/doomed", {"allowedClusters": ["standalone"]})
    assert status == 204, text
    assert server.rest("PUT", "/admin/v2/namespaces/doomed/n", {})[0] == 204
    assert topics_left(server) == 0
    assert sends(client, "persistent://doomed/n/t-0")
