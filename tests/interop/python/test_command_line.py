"""What `geminga admin` shows while a server takes its time, on a terminal and to a script."""

import os
import pty
import select
import socket
import subprocess
import threading

import server as servers

ANSWER = b'HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n["standalone"]'


class Slow:
    """Answers one request, once it is told to."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.may_answer = threading.Event()
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        connection, _ = self.listener.accept()
        with connection:
            connection.recv(4096)
            self.may_answer.wait(60)
            connection.sendall(ANSWER)

    def ask(self, stderr):
        port = self.listener.getsockname()[1]
        command = [servers.BINARY, "admin", "--admin-url", f"http://127.0.0.1:{port}", "--json"]
        return subprocess.Popen(
            [*command, "clusters", "list"], stdout=subprocess.PIPE, stderr=stderr
        )


def read_until(terminal, part):
    shown = b""
    while part not in shown:
        assert select.select([terminal], [], [], 60)[0], shown
        shown += os.read(terminal, 1024)
    return shown


def test_a_terminal_is_told_how_long_it_takes():
    slow = Slow()
    terminal, inner = pty.openpty()
    asking = slow.ask(inner)
    os.close(inner)
    assert b"waiting for the server: 2 s" in read_until(terminal, b"2 s")
    assert b"\r\x1b[K" in read_until(terminal, b"3 s")
    slow.may_answer.set()
    # What was said is wiped away, and is not in the answer.
    assert read_until(terminal, b"\x1b[K").endswith(b"\r\x1b[K")
    out, _ = asking.communicate(timeout=60)
    assert b"standalone" in out and b" s" not in out
    assert asking.returncode == 0
    slow.thread.join()
    os.close(terminal)


def test_a_script_is_told_nothing():
    slow = Slow()
    asking = slow.ask(subprocess.PIPE)
    try:
        asking.wait(4)
        raise AssertionError("it did not wait")
    except subprocess.TimeoutExpired:
        slow.may_answer.set()
    out, err = asking.communicate(timeout=60)
    assert (b"standalone" in out, err) == (True, b"")
    slow.thread.join()
