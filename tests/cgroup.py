"""A memory limit that the kernel keeps: whoever goes over it is killed. Needs a writable cgroup."""

import os
import pathlib
import tempfile

from server import wait_for

ROOT = pathlib.Path("/sys/fs/cgroup")
MIB = 1 << 20


def why_not():
    """Why no group can be made here, or None."""
    parent = _parent()
    if parent is None:
        return "the kernel offers no memory cgroup"
    if not os.access(parent, os.W_OK):
        return f"{parent} is not writable for this user"
    return None


def _parent():
    if (ROOT / "memory/memory.limit_in_bytes").exists():
        return ROOT / "memory"
    if "memory" in _text(ROOT / "cgroup.subtree_control").split():
        return ROOT
    return None


def _text(path):
    try:
        return path.read_text()
    except OSError:
        return ""


class MemoryGroup:
    """Commands that begin with `prefix` may take `mib` MiB, what the kernel holds for them included."""

    def __init__(self, mib):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="geminga-test-", dir=_parent()))
        is_first_version = (self.path / "memory.limit_in_bytes").exists()
        limit = "memory.limit_in_bytes" if is_first_version else "memory.max"
        (self.path / limit).write_text(str(mib * MIB))
        self.peak = self.path / ("memory.max_usage_in_bytes" if is_first_version else "memory.peak")
        enter = 'echo $$ > "$0" && exec "$@"'
        self.prefix = ["sh", "-c", enter, str(self.path / "cgroup.procs")]

    def peak_mib(self):
        """With files in the page cache, which the kernel takes back when the limit is near."""
        return int(_text(self.peak) or 0) / MIB

    def remove(self):
        wait_for(lambda: not _text(self.path / "cgroup.procs"), what="an empty cgroup")
        self.path.rmdir()
