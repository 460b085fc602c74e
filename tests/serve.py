"""Runs a command against a fresh server: `serve.py -- COMMAND …`.

The command finds PULSAR_URL, PULSAR_WEB and GEMINGA_RESTART in its environment. It asks for a
restart (kill -9, same data and ports) by creating the file GEMINGA_RESTART names and waiting until
it is gone. Each line KEY=VALUE of the file is a setting that the server has from then on.
"""

import os
import pathlib
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from server import Server  # noqa: E402


def main():
    command = sys.argv[sys.argv.index("--") + 1:]
    with Server() as server:
        flag = server.directory / "restart"
        environment = {
            **os.environ, "PULSAR_URL": server.url, "PULSAR_WEB": server.web,
            "GEMINGA_RESTART": str(flag),
        }
        ended = threading.Event()

        def restart_when_asked():
            while not ended.wait(0.05):
                if flag.exists():
                    lines = flag.read_text().splitlines()
                    server.settings.update(line.split("=", 1) for line in lines if line)
                    server.restart()
                    flag.unlink()

        watcher = threading.Thread(target=restart_when_asked)
        watcher.start()
        try:
            status = subprocess.call(command, env=environment)
        finally:
            ended.set()
            watcher.join()
        if status != 0:
            print(server.tail(), file=sys.stderr)
        return status


sys.exit(main())
