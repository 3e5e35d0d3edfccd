"""Takes "<number> <path>" with a NUL after each on stdin, gives "<number> <kind> <sizes>" a line on stdout.

A process of its own: a dead file server holds whoever asks for the size of its mount beyond any kill. Each question
has a thread of its own here, so a mount that hangs takes only its own answer along. Started with few modules for the
sake of memory. Ends with its stdin; a thread that still hangs then ends with its mount.
"""

from __future__ import annotations

import _thread
import os
import stat


def measure(path: bytes) -> tuple[int, ...] | None:
    """Bytes per block, blocks, free ones, free ones for users, then inodes likewise. None = not a folder.

    Opened by O_PATH, which needs no permission on the folder and triggers no automount.
    """
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            return None
        size = os.fstatvfs(descriptor)
    finally:
        os.close(descriptor)
    return (size.f_frsize, size.f_blocks, size.f_bfree, size.f_bavail, size.f_files, size.f_ffree, size.f_favail)


def answer(question: bytes) -> None:
    """Write the line: `7 ok 4096 1000 ...`, `7 none` or `7 error 116`."""
    number, _, path = question.partition(b" ")
    try:
        sizes = measure(path)
        told = b"none" if sizes is None else b" ".join([b"ok", *(b"%d" % size for size in sizes)])
    except OSError as error:
        told = b"error %d" % (error.errno or 0)
    tell(number, told)


def tell(number: bytes, told: bytes) -> None:
    """One line in one piece. That nobody reads it any more shows on stdin."""
    try:
        os.write(1, number + b" " + told + b"\n")
    except OSError:
        return


def main() -> None:
    """Answer until stdin ends."""
    _thread.stack_size(256 * 1024)
    rest = b""
    while True:
        received = os.read(0, 65536)
        if not received:
            os._exit(0)
        *questions, rest = (rest + received).split(b"\0")
        for question in questions:
            try:
                _thread.start_new_thread(answer, (question,))
            except RuntimeError:  # no more threads are allowed
                tell(question.partition(b" ")[0], b"error 11")


if __name__ == "__main__":
    main()
