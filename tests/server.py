"""Starts, kills and restarts the release binary for tests in Python. Standard library only."""

import json
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARY = pathlib.Path(os.environ.get("GEMINGA_BINARY", ROOT / "target/release/geminga"))
READY = re.compile(r"^ready: (pulsar://\S+) (http://\S+) in (\d+) ms")


class Failed(Exception):
    """The server ended before it was ready; the text is what it wrote."""


def free_ports(count=2):
    """Ports that nobody listens on now. A server that keeps its data keeps its ports too."""
    held = [socket.socket() for _ in range(count)]
    for each in held:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports


class Server:
    """One data directory, and the process that serves it."""

    def __init__(self, settings=None, prefix=(), environment=None):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="geminga-test-"))
        self.data = self.directory / "data"
        self.log = self.directory / "log.txt"
        self.settings = dict(settings or {})
        self.prefix = list(prefix)
        self.environment = dict(environment or {})
        self.process = None
        broker, web = free_ports()
        self.settings.setdefault("brokerServicePort", broker)
        self.settings.setdefault("webServicePort", web)
        # Tests look at what is stored, whether somebody uses it or not.
        self.settings.setdefault("brokerDeleteInactiveTopicsEnabled", "false")

    def command(self):
        command = self.prefix + [str(BINARY), "standalone", "--data-dir", str(self.data)]
        for key, value in self.settings.items():
            command += ["--set", f"{key}={value}"]
        return command

    def start(self, timeout=60):
        log = open(self.log, "ab")
        environment = {**os.environ, **self.environment}
        self.process = subprocess.Popen(
            self.command(), stdout=subprocess.PIPE, stderr=log, env=environment,
            start_new_session=True,
        )
        log.close()
        deadline = time.monotonic() + timeout
        line = b""
        while not line.endswith(b"\n"):
            remaining = deadline - time.monotonic()
            if remaining <= 0 or not select.select([self.process.stdout], [], [], remaining)[0]:
                self.kill()
                raise Failed(f"not ready in {timeout} s: {self.tail()}")
            part = os.read(self.process.stdout.fileno(), 4096)
            if not part:
                self.process.wait()
                raise Failed(self.tail())
            line += part
        ready = READY.match(line.decode())
        assert ready, f"no ready line: {line!r}"
        self.url, self.web, self.ready_ms = ready[1], ready[2], int(ready[3])
        return self

    def tail(self):
        return self.log.read_text(errors="replace")[-4000:]

    def kill(self):
        """SIGKILL to the process and what it was started under."""
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        if self.process:
            self.process.wait()
            self.process.stdout.close()
        self.process = None

    def terminate(self, timeout=30):
        """SIGTERM; returns the exit status."""
        os.killpg(self.process.pid, signal.SIGTERM)
        status = self.process.wait(timeout)
        self.process.stdout.close()
        self.process = None
        return status

    def restart(self):
        self.kill()
        return self.start()

    def remove(self):
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.remove()

    def rest(self, method, path, body=None, content_type="application/json"):
        """Returns (status, text) of an admin request."""
        data = None if body is None else (body if isinstance(body, bytes) else json.dumps(body).encode())
        request = urllib.request.Request(self.web + path, data=data, method=method)
        if data is not None:
            request.add_header("Content-Type", content_type)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def get(self, path):
        status, text = self.rest("GET", path)
        assert status == 200, (path, status, text)
        return json.loads(text)


def wait_for(condition, timeout=20, what="condition"):
    """Polls until `condition()` is true; returns its value."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"{what}: not in {timeout} s"
        time.sleep(0.01)
