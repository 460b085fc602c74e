"""What the binary refuses to start on: each a sentence that says what to do, and an exit code.

What is damaged and not refused is either not needed, and then every receipted message is read back, or
it is met by a read, which fails and names the file: never is something left out in silence.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import urllib.error

import pulsar
import pytest
from server import Failed, Server, wait_for
from small_disk import SmallDisk

COUNT = 400
TOPIC = "persistent://public/default/kept"


def refusal(server):
    """The last word of a server that does not start."""
    server.log.write_text("")
    with pytest.raises(Failed):
        server.start(timeout=60)
    assert server.process.returncode not in (0, None)
    server.process.stdout.close()
    server.process = None
    last = server.log.read_text().strip().splitlines()[-1]
    assert last.startswith("geminga: ") and "panicked" not in server.log.read_text(), last
    return last


def quiet_client(server):
    logger = pulsar.ConsoleLogger(pulsar.LoggerLevel.Error)
    return pulsar.Client(server.url, logger=logger, operation_timeout_seconds=20)


def body(number):
    return str(number).encode().ljust(3_000, b".")


def filled(is_clean, settings):
    """A server that has stopped, with `COUNT` receipted messages for subscription `s`."""
    server = Server(settings={"journalMaxSizeMB": 1, "journalMaxBackups": 1, **settings})
    server.start()
    client = quiet_client(server)
    client.subscribe(TOPIC, "s").close()
    producer = client.create_producer(TOPIC, batching_enabled=False)
    for number in range(COUNT):
        producer.send(body(number))
    client.close()
    if is_clean:
        assert server.terminate() == 0
    else:
        server.kill()
    shutil.copytree(server.data, server.directory / "kept")
    return server


def restore(server):
    shutil.rmtree(server.data)
    shutil.copytree(server.directory / "kept", server.data)


@pytest.fixture(scope="module")
def stopped():
    """Flushed to entry logs and closed."""
    server = filled(True, {"dbStorage_writeCacheMaxSizeMb": 1, "logSizeLimit": 1 << 20})
    yield server
    server.remove()


@pytest.fixture(scope="module")
def killed():
    """Nothing flushed: all is in the journal, with some pages of metadata half way."""
    server = filled(False, {"flushInterval": 600_000})
    yield server
    server.remove()


def files(server, pattern):
    found = sorted(server.data.glob(pattern))
    assert found, pattern
    return found


def flip(path, at, mask=0x55):
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ mask]))


def is_told(server, path):
    lines = server.log.read_text().splitlines()
    return any(str(path) in line and "damaged" in line for line in lines)


def everything_is_there(server, path):
    """Or the log says that a read met damage in `path`."""
    client = quiet_client(server)
    try:
        consumer = client.subscribe(TOPIC, "s")
        for number in range(COUNT):
            message = wait_for(lambda: received(consumer) or is_told(server, path))
            if message is True:
                return
            assert message.data() == body(number)
    finally:
        client.close()


def received(consumer):
    try:
        return consumer.receive(1_000)
    except pulsar.Timeout:
        return None


def refused_or_harmless(server, path, at):
    """Flips a byte; returns the refusal, or None if it was none and nothing was lost in silence."""
    restore(server)
    flip(path, at)
    server.log.write_text("")
    try:
        server.start(timeout=60)
    except Failed:
        server.process.stdout.close()
        server.process = None
        return server.log.read_text().strip().splitlines()[-1]
    try:
        everything_is_there(server, path)
    finally:
        server.kill()
    return None


def says_what_to_do(refused, path):
    return str(path) in refused and any(
        advice in refused for advice in ("restore", "put back", "start a newer")
    )


def test_a_port_in_use():
    for key in ("brokerServicePort", "webServicePort"):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            server = Server(settings={key: port})
            said = refusal(server)
            assert key in said and str(port) in said and "choose another port" in said, said
            server.remove()


def test_a_directory_in_use():
    with Server() as first:
        second = Server()
        second.data = first.data
        said = refusal(second)
        assert "in use by another process" in said and "stop it or choose another" in said, said
        second.remove()


def test_a_file_instead_of_a_directory():
    server = Server()
    server.data.write_text("a file where the directory should be")
    assert str(server.data) in refusal(server)
    server.remove()


def answers(server):
    try:
        return server.rest("GET", "/status.html")[0] == 200
    except urllib.error.URLError:
        return False


def test_a_signal_that_comes_before_the_ready_line_was_read():
    server = Server()
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b"x" * 4096)
    os.set_blocking(writer, True)  # The server waits to say that it is ready.
    with open(server.log, "ab") as log:
        process = subprocess.Popen(server.command(), stdout=writer, stderr=log)
    os.close(writer)
    try:
        server.web = f"http://127.0.0.1:{server.settings['webServicePort']}"
        wait_for(lambda: answers(server), what="an answer over HTTP")
        process.terminate()
        with open(reader, "rb") as output:
            said = output.read()
        assert process.wait(30) == 0 and b"ready: " in said
    finally:
        process.kill()
        server.remove()


def test_a_directory_that_is_not_writable(stopped):
    disk = SmallDisk(32)
    server = Server(prefix=disk.prefix)
    server.data = disk.path / "data"

    def remount(how):
        subprocess.run([*disk.prefix, "mount", "-o", f"remount,{how}", str(disk.path)], check=True)
    try:
        remount("ro")
        said = refusal(server)
        assert str(server.data) in said and "writable" in said, said
        remount("rw")
        server.start()
        assert server.terminate() == 0
        remount("ro")
        said = refusal(server)
        assert str(server.data) in said and "not writable" in said and "correct its" in said, said
    finally:
        server.remove()
        disk.remove()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_directory_of_somebody_else():
    server = Server(prefix=["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"])
    server.directory.chmod(0o755)
    server.data.mkdir(mode=0o755)
    try:
        said = refusal(server)
        assert str(server.data) in said and "writable" in said, said
    finally:
        server.remove()


def test_a_newer_format(stopped):
    restore(stopped)
    cookie = files(stopped, "bookkeeper/journal/cookie")[0]
    text = cookie.read_text()
    cookie.write_text(text.replace("geminga-bookie-storage 1", "geminga-bookie-storage 2"))
    said = refusal(stopped)
    assert "has format version 2" in said and "start a newer version" in said, said


@pytest.mark.parametrize("name", ["journal/cookie", "ledgers/cookie"])
def test_a_damaged_cookie(stopped, name):
    path = stopped.data / "bookkeeper" / name
    for at in range(0, path.stat().st_size, 7):
        said = refused_or_harmless(stopped, path, at)
        assert said and says_what_to_do(said, path), (at, said)


def test_a_damaged_journal(killed):
    refused = 0
    for path in files(killed, "bookkeeper/journal/journal-*"):
        for at in (0, 9, 13, 40, 4096, 4100, 8200, 300_000, 700_000):
            said = refused_or_harmless(killed, path, at)
            assert said is None or says_what_to_do(said, path), (path, at, said)
            refused += said is not None
    assert 5 <= refused, "damage inside what was durable is refused"


@pytest.mark.parametrize("pattern", ["index-*", "checkpoint", "entry-log-*"])
def test_a_damaged_index_checkpoint_or_entry_log(stopped, pattern):
    for path in files(stopped, f"bookkeeper/ledgers/{pattern}"):
        size = path.stat().st_size
        for at in {0, 9, 13, 40, 4096, 4150, size - 40, size - 5}:
            said = refused_or_harmless(stopped, path, min(at, size - 1))
            assert said is None or says_what_to_do(said, stopped.data), (path, at, said)


def test_damaged_metadata(stopped):
    """After a clean stop. After a kill the store cannot tell damage of the last commit from a torn one."""
    restore(stopped)  # A server that was started on it may have made the file larger.
    path = files(stopped, "metadata/metadata.redb")[0]
    refused = 0
    for at in (0, 20, 70, 192, *range(4116, path.stat().st_size, 4096)):
        said = refused_or_harmless(stopped, path, at)
        assert said is None or says_what_to_do(said, path), (at, said)
        refused += said is not None
    assert 3 <= refused, "damage of what is in use is refused"
