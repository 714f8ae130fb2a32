"""Atomic replacement of files: a reader sees either the old or the new content.

Content is written to a draft in the same folder, ``.NAME.TOKEN.part``, which is then renamed. The draft is created
exclusively under a random name, so it follows no symbolic link and is not shared with another thread or process. The
writer holds a lock on it, which the operating system releases when the process ends: drafts without a lock are left
over from killed processes and are removed by the next writer.
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
_MAX_PREFIX = (
    48  # characters of the name in that of the draft, which is limited to 255 bytes
)
_swept: set[tuple[Path, str]] = set()


def write_atomically(path: Path, content: bytes, mode: int = 0o666) -> None:
    """Replace the content of a file atomically.

    Args:
        path: The file.
        content: The new content.
        mode: Permissions of the new file, before the umask of the process is applied.

    Raises:
        OSError: writing failed; the old content is kept.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_atomically(Path(folder) / "run.dr", b"weights")
    ...     (Path(folder) / "run.dr").read_bytes()
    b'weights'
    """
    prefix = f".{path.name[:_MAX_PREFIX]}."
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
    """Create and lock a draft, which is removed unless it was renamed."""
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
        os.close(handle)  # removed as stale by another process before it was locked
        draft.unlink(missing_ok=True)
    try:
        yield draft, handle
    finally:
        with contextlib.suppress(OSError):
            os.close(handle)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(draft)


def _locked(handle: int) -> bool:
    """Lock a file without waiting; return False if another process holds the lock, True without locks."""
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
    """Remove drafts of ended processes whose name begins with a prefix, and return their number.

    Only regular files of the current user are removed, and none if files cannot be locked.

    >>> import tempfile
    >>> remove_stale_drafts(Path(tempfile.mkdtemp()))
    0
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
    """Remove a draft that is not being written."""
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
