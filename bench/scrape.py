"""Metrics and stats of very many loaded topics: how long they take, how large they are, and what they
may not slow down.

Each topic has a producer, a subscription and a message. Asked is for everything that there is of all
topics at once, while another process publishes one message after the other. Prints one JSON object.
Standard library only.
"""

import argparse
import asyncio
import gzip
import json
import pathlib
import sys
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import million  # noqa: E402
from million import servers  # noqa: E402

GZIP = {"Accept-Encoding": "gzip"}
ASKED = [
    ("metrics", "/metrics", {}),
    ("metrics_gzip", "/metrics", GZIP),
    ("topics", "/admin/v2/broker-stats/topics", {}),
    ("topics_gzip", "/admin/v2/broker-stats/topics", GZIP),
]


async def subscribe(web, count):
    """Makes a subscription on every topic, over connections that are kept."""
    host, port = million.address(web)
    indexes = iter(range(count))

    async def worker():
        reader, writer = await asyncio.open_connection(host, port)
        for index in indexes:
            path = f"/admin/v2/persistent/{million.NAMESPACE}/topic-{index:07}/subscription/sub"
            head = f"PUT {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
            writer.write(head.encode())
            answer = await reader.readuntil(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 204"), answer
        writer.close()

    await asyncio.gather(*(worker() for _ in range(million.CREATING_CONNECTIONS)))


def cpu_seconds(process):
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def asked(server, path, headers):
    """One answer: its bytes, the processor time that it took, and the topics that it tells of."""
    before = cpu_seconds(server.process)
    request = urllib.request.Request(server.web + path, headers=headers)
    with urllib.request.urlopen(request, timeout=600) as response:
        body = response.read()
        is_gzip = response.headers.get("Content-Encoding") == "gzip"
    spent = cpu_seconds(server.process) - before
    text = gzip.decompress(body) if is_gzip else body
    rows = text.count(b"\npulsar_in_messages_total{") + text.count(b'"averageMsgSize"')
    return {"mib": round(len(body) / (1 << 20), 2), "cpu_s": round(spent, 2), "topics": rows}


def ask(server, report, kind, path, headers):
    """Asks while somebody publishes; the publisher's own processor time is the server's too."""
    found = million.pauses(server.url, lambda: asked(server, path, headers))
    result = found.pop("result")
    million.note(report, kind, {**result, **found, **million.memory(server.process)})


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--topics", type=int, default=100_000)
    parser.add_argument("--connections", type=int, default=20)
    options = parser.parse_args()
    report = {"topics": options.topics}
    server = servers.Server({"topicIdleUnloadSeconds": "0"})
    try:
        run(server, options, report)
    finally:
        server.remove()
    print(json.dumps(report, indent=1))


def run(server, options, report):
    server.start()
    began = time.perf_counter()
    asyncio.run(million.create(server.web, options.topics))
    asyncio.run(subscribe(server.web, options.topics))
    connections = million.produce(server.url, list(range(options.topics)), options.connections)
    million.send_one_each(connections, 0)
    took = round(time.perf_counter() - began, 1)
    million.note(report, "loaded", {"took_s": took, **million.memory(server.process)})
    million.note(report, "publishing_alone", million.pauses(server.url, lambda: time.sleep(5)))
    for kind, path, headers in ASKED:
        ask(server, report, kind, path, headers)
        assert options.topics <= report[kind]["topics"], report[kind]
    for connection, _ in connections:
        connection.close()


if __name__ == "__main__":
    main()
