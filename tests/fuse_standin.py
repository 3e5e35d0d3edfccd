"""Takes a control folder and mount points, serves a small FUSE file system at each, without libfuse.

While `<control>/hang-<name of the mount point>` exists, statfs of that mount isn't answered: whoever asks waits in the
kernel, beyond any signal, as with a dead NFS server. Writes `<control>/ready` once all are mounted. Ending this process
ends every wait with an error. To be run in a mount namespace of its own, so that no other program meets the mounts.
"""

from __future__ import annotations

import ctypes
import os
import select
import struct
import sys
from pathlib import Path

_GETATTR, _STATFS, _INIT = 3, 17, 26
_FORGET, _INTERRUPT, _BATCH_FORGET = 2, 36, 42
_NOT_IMPLEMENTED = -38
BLOCKS, FREE, BLOCK_BYTES = 1_000_000, 250_000, 4096


class Mounted:
    """One file system: an empty folder of a known size."""

    def __init__(self, point: Path, control: Path) -> None:
        self.descriptor = os.open("/dev/fuse", os.O_RDWR)
        self._hangs_while = control / f"hang-{point.name}"
        self._held: list[int] = []
        options = f"fd={self.descriptor},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()},allow_other"
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mount(b"standin", os.fsencode(point), b"fuse.standin", 0, options.encode()):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(point))

    def answer_one(self) -> None:
        """Read a request and answer it, or hold it."""
        request = os.read(self.descriptor, 1 << 20)
        _, opcode, unique = struct.unpack_from("=IIQ", request)
        if opcode == _STATFS and self._hangs_while.exists():
            self._held.append(unique)
        elif opcode not in (_FORGET, _INTERRUPT, _BATCH_FORGET):
            self._reply(unique, opcode)

    def release(self) -> None:
        """Answer what was held, if it is time."""
        if self._held and not self._hangs_while.exists():
            for unique in self._held:
                self._reply(unique, _STATFS)
            self._held.clear()

    def _reply(self, unique: int, opcode: int) -> None:
        body = _BODIES.get(opcode)
        error = _NOT_IMPLEMENTED if body is None else 0
        os.write(self.descriptor, struct.pack("=IiQ", 16 + len(body or b""), error, unique) + (body or b""))


# Layouts by linux/fuse.h, version 7.31.
_BODIES = {
    _INIT: struct.pack("=IIIIHHIIHHI28x", 7, 31, 65536, 0, 16, 12, 65536, 1, 0, 0, 0),
    _GETATTR: struct.pack("=QII6Q10I", 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0o40755, 2, 0, 0, 0, BLOCK_BYTES, 0),
    _STATFS: struct.pack("=5Q4I24x", BLOCKS, FREE, FREE, 1000, 900, BLOCK_BYTES, 255, BLOCK_BYTES, 0),
}


def main(control: Path, points: list[Path]) -> None:
    mounts = {mounted.descriptor: mounted for mounted in (Mounted(point, control) for point in points)}
    Path(control, "ready").touch()
    while True:
        for descriptor in select.select([*mounts], [], [], 0.02)[0]:
            mounts[descriptor].answer_one()
        for mounted in mounts.values():
            mounted.release()


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
