"""A small file system of its own, which a test can fill. Needs no root: it lives in a namespace."""

import os
import pathlib
import subprocess
import tempfile

MIB = 1 << 20


class SmallDisk:
    """A tmpfs of `mib` MiB. Commands that begin with `prefix` see it at `path`; the test, at `seen`."""

    def __init__(self, mib):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="geminga-disk-"))
        script = f"mount -t tmpfs -o size={mib}m tmpfs {self.path} && echo mounted && exec sleep infinity"
        self.holder = subprocess.Popen(
            ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        said = self.holder.stdout.readline()
        assert said == b"mounted\n", f"no tmpfs: {self.holder.communicate()[1].decode()}"
        holder = str(self.holder.pid)
        self.prefix = ["nsenter", "--target", holder, "--user", "--preserve-credentials", "--mount"]
        self.seen = pathlib.Path(f"/proc/{holder}/root{self.path}")
        self.ballast = self.seen / "ballast"

    def free(self):
        found = os.statvfs(self.seen)
        return found.f_bavail * found.f_frsize

    def fill(self, leave):
        """Takes all space but `leave` bytes."""
        with open(self.ballast, "ab") as file:
            while leave < (free := self.free()):
                file.write(b"\0" * min(MIB, free - leave))
                file.flush()

    def relieve(self):
        self.ballast.unlink()

    def remove(self):
        self.holder.kill()
        self.holder.communicate()
        self.path.rmdir()
