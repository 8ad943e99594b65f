"""Has the disk write while there is still to be opened: the barrier at the end then finds little left to do.

Left to itself the kernel begins when a tenth of the memory is dirty or after 30 s: most restores would first use the
processors alone, and then wait for the disk alone.
"""

from __future__ import annotations

import ctypes

WORTH_IT = 128 << 10
"""Bytes from which a piece is handed to the disk at once: a call a small file would cost more than it brings."""
_START_WRITING = 2  # SYNC_FILE_RANGE_WRITE of linux/fs.h: begins, and does not wait
_libc = ctypes.CDLL(None)


def start_writing(descriptor: int, at: int, size: int) -> None:
    """Ask the kernel to begin to write a part of a file.

    Only a wish: whether all is on the disk is asked of `syncfs`, which also says what failed.
    """
    if size >= WORTH_IT:
        _libc.sync_file_range(descriptor, ctypes.c_int64(at), ctypes.c_int64(size), _START_WRITING)
