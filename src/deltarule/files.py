"""Atomic files: a reader sees the old content or the new one, whole, whatever happens to the writer.

Content goes to a draft in the target's folder, ``.NAME.TOKEN.part``, which is then renamed. The draft is created
exclusively under a random name, so it follows no link that somebody planted and is shared with no other thread or
process. Its writer holds a lock on it, which the operating system drops when the process dies: drafts without a lock
are left over from a process that was killed, and the next writer removes them.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

if sys.platform != "win32":
    import fcntl

_SUFFIX = ".part"
_LONGEST = 48  # characters of the target's name in that of its draft: file systems take 255 bytes in all
_swept: set[tuple[Path, str]] = set()


def write_atomically(path: Path, content: bytes, mode: int = 0o666) -> None:
    """Replace a file's content in one step; raises OSError, and leaves the old content, where this is not possible.

    ``mode`` are the permissions of the new file, less those that the process's umask takes away.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_atomically(Path(folder) / "run.dr", b"weights")
    ...     (Path(folder) / "run.dr").read_bytes()
    b'weights'
    """
    prefix = f".{path.name[:_LONGEST]}."
    if (path.parent, prefix) not in _swept:
        _swept.add((path.parent, prefix))
        remove_stale_drafts(path.parent, prefix)
    with _draft(path.parent, prefix, mode) as (draft, handle):
        with os.fdopen(handle, "wb", closefd=False) as stream:
            stream.write(content)
            stream.flush()
            os.fsync(handle)
        if sys.platform == "win32":  # an open file cannot be renamed there
            os.close(handle)
        os.replace(draft, path)


@contextlib.contextmanager
def _draft(folder: Path, prefix: str, mode: int) -> Iterator[tuple[Path, int]]:
    """Create a draft and lock it; it is removed unless it was renamed."""
    flags = (
        os.O_CREAT
        | os.O_EXCL
        | os.O_WRONLY
        | getattr(os, "O_CLOEXEC", 0)
        | getattr(os, "O_BINARY", 0)
    )
    while True:
        draft = folder / f"{prefix}{secrets.token_hex(8)}{_SUFFIX}"
        handle = os.open(draft, flags, mode)
        if _locked(handle) and os.fstat(handle).st_nlink:
            break
        os.close(
            handle
        )  # another process took it for a stale one, between creation and lock
        draft.unlink(missing_ok=True)
    try:
        yield draft, handle
    finally:
        with contextlib.suppress(OSError):
            os.close(handle)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(draft)


def _locked(handle: int) -> bool:
    """Lock a file without waiting; False if another process holds the lock. Some file systems have no locks: True."""
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def remove_stale_drafts(folder: Path, prefix: str = ".") -> int:
    """Remove drafts whose writer is gone, those whose name begins with a prefix, and return how many.

    Only regular files of our own are touched. Where files cannot be locked nothing is removed.
    """
    removed = 0
    try:
        names = [
            entry.name for entry in os.scandir(folder) if _is_draft(entry.name, prefix)
        ]
    except OSError:
        return 0
    for name in names:
        with contextlib.suppress(OSError):
            removed += _removed(folder / name)
    return removed


def _is_draft(name: str, prefix: str) -> bool:
    return name.startswith(prefix) and name.endswith(_SUFFIX)


def _removed(draft: Path) -> bool:
    """Remove a draft if nobody is writing it."""
    if sys.platform == "win32":
        draft.unlink()  # refused while it is open
        return True
    handle = os.open(draft, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode) or about.st_uid != os.geteuid():
            return False
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        draft.unlink()
    finally:
        os.close(handle)
    return True
