"""What a noisy resource group does to its neighbour.

Two groups with a namespace each. The neighbour sends 1,000 messages a second and receives them, far
below its quota; its latency is measured alone, while the noisy group's producers send as fast as they
are let, and, to see what the groups are worth, while as many do who are in no group, in turn. Prints
one JSON object. Standard library only.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests"))
import server as servers  # noqa: E402

#: Bytes a second: what the groups may publish, and be sent.
QUIET, NOISY = 4 << 20, 16 << 20
RATE = 1_000


def namespace(server, name, rate=None):
    """A tenant and a namespace; with a rate in a resource group of the same name."""
    put(server, f"/admin/v2/tenants/{name}", {"allowedClusters": ["standalone"]})
    put(server, f"/admin/v2/namespaces/{name}/n", {})
    if rate is not None:
        limits = {"publishRateInBytes": rate, "dispatchRateInBytes": rate}
        put(server, f"/admin/v2/resourcegroups/{name}", limits)
        post(server, f"/admin/v2/namespaces/{name}/n/resourcegroup/{name}")


def put(server, path, body):
    status, text = server.rest("PUT", path, body)
    assert status // 100 == 2, (path, status, text)


def post(server, path):
    status, text = server.rest("POST", path)
    assert status // 100 == 2, (path, status, text)


def perf(server, *arguments):
    command = [str(servers.BINARY), "perf", "--json", "--url", server.url, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def ended(process):
    text, _ = process.communicate()
    assert process.returncode == 0, text
    return json.loads(text)


def neighbour(server, seconds):
    """Milliseconds of the neighbour's messages, from when they are due until they are received."""
    arguments = ["latency", "-r", str(RATE), "-w", "1", "-d", str(seconds), "--disable-batching"]
    found = ended(perf(server, *arguments, "quiet/n/t"))
    assert found["received"]["messages"] >= 0.95 * RATE * seconds, found
    return found["received"]["end_to_end_latency_ms"]


def beside(server, noise, seconds):
    """The same while others send what they can; and what that was, in MiB per second."""
    arguments = ["produce", "-n", "4", "-w", "1", "-d", str(seconds + 2)]
    noise = perf(server, *arguments, f"{noise}/n/t")
    latency = neighbour(server, seconds)
    return latency, ended(noise)["sent"]["mib_per_second"]


def summary(alone, found):
    """Of runs beside noise, each with the run alone before it."""
    ratios = [latency["p99"] / before["p99"] for before, (latency, _) in zip(alone, found)]
    return {
        "p50_ms": statistics.median(latency["p50"] for latency, _ in found),
        "p99_ms": statistics.median(latency["p99"] for latency, _ in found),
        "noise_mib_per_s": statistics.median(rate for _, rate in found),
        "p99_ratio": statistics.median(ratios),
        "p99_ratio_min": min(ratios),
        "p99_ratio_max": max(ratios),
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5)
    options = parser.parse_args()
    alone, grouped, free = [], [], []
    server = servers.Server()
    try:
        server.start()
        namespace(server, "quiet", QUIET)
        namespace(server, "noisy", NOISY)
        namespace(server, "free")
        for _ in range(options.pairs):
            alone.append(neighbour(server, options.seconds))
            grouped.append(beside(server, "noisy", options.seconds))
            free.append(beside(server, "free", options.seconds))
            print(alone[-1], grouped[-1], free[-1], file=sys.stderr)
    finally:
        server.remove()
    print(json.dumps({
        "alone": {key: statistics.median(found[key] for found in alone) for key in ("p50", "p99")},
        "grouped": summary(alone, grouped),
        "free": summary(alone, free),
    }, indent=1))


if __name__ == "__main__":
    main()
