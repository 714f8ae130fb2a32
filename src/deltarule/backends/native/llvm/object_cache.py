"""The cache of compiled code: files in a folder of the user, written atomically; invalid files count as absent.

The folder is the argument ``chosen``, else the variable DELTARULE_CACHE ("off" for none), else the user's cache folder.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import stat
import sys
import warnings
from pathlib import Path

from deltarule import files
from deltarule.errors import user_level

_MAGIC = b"deltarule object 1\n"
_MAX_FILES = 2000
_OPEN_FOLDER = (
    getattr(os, "O_DIRECTORY", 0) if os.open in os.supports_dir_fd else 0
)  # 0 on platforms where folders cannot be opened
_swept: set[Path] = set()  # folders whose stale temporary files were removed
_COMPILER_SOURCES = (
    "graph",
    "simplify",
    "lower",
    "backends",
    "dtypes.py",
    "shapes.py",
)  # sources of the compiler


def cache_folder(chosen: str | Path | None = None) -> Path | None:
    """Return the folder of the object cache; None if caching is off.

    >>> cache_folder("off") is None
    True
    """
    choice = (
        str(chosen) if chosen is not None else os.environ.get("DELTARULE_CACHE", "")
    )
    if choice.lower() == "off":
        return None
    if choice:
        return Path(choice).expanduser()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        return Path(base).expanduser() / "deltarule" / "objects"
    except RuntimeError:  # no home folder
        return None


def read(path: Path) -> bytes | None:
    """Return the content of a cache file; None if it is absent, damaged, or not trusted.

    The content is executed, so a file is trusted only if it is a regular file that belongs to the user (or root) and
    that no other user can write to, in a folder of which the same is true. The checks apply to the opened file, and
    symbolic links are not followed.
    """
    try:
        folder = (
            os.open(path.parent, os.O_RDONLY | _OPEN_FOLDER) if _OPEN_FOLDER else None
        )
        try:
            if folder is not None and not _trusted(os.fstat(folder)):
                _warn_once(path.parent)
                return None
            content = _content(path, folder)
        finally:
            if folder is not None:
                os.close(folder)
    except OSError:
        return None
    start = len(_MAGIC) + hashlib.sha256().digest_size
    found = content[start:]
    return found if content[:start] == _MAGIC + hashlib.sha256(found).digest() else None


def _content(path: Path, folder: int | None) -> bytes:
    """Return the bytes of a file in an open folder; raise OSError if it is not trusted."""
    flags = (
        os.O_RDONLY
        | getattr(os, "O_NOFOLLOW", 0)
        | getattr(os, "O_NONBLOCK", 0)
        | getattr(os, "O_BINARY", 0)
    )
    handle = os.open(path if folder is None else path.name, flags, dir_fd=folder)
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode) or not _trusted(status):
            raise PermissionError(f"{path} may be written by another user")
        with contextlib.suppress(
            OSError
        ):  # least recently used files are evicted first; files of root keep their times
            os.utime(handle if os.utime in os.supports_fd else path)
        return file.read()


def _trusted(status: os.stat_result) -> bool:
    """Return whether only this user and root can write to a file or folder."""
    if (
        sys.platform == "win32"
    ):  # Windows has access lists in place of modes; the default folder is private to the user
        return True
    return status.st_uid in {0, os.geteuid()} and not status.st_mode & (
        stat.S_IWGRP | stat.S_IWOTH
    )


@functools.cache
def _warn_once(folder: Path) -> None:
    warnings.warn(
        f"the compilation cache {folder} is not used: other users can write to it. "
        f"Remove their permission (chmod go-w), or set DELTARULE_CACHE to another folder.",
        stacklevel=user_level(),
    )


def write(path: Path, content: bytes) -> None:
    """Write a cache file atomically; nothing is written if the folder is not writable or not trusted."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _trusted(path.parent.stat()):  # its files would not be read
            return
        if path.parent not in _swept:
            _swept.add(path.parent)
            files.remove_stale_drafts(path.parent)
        files.write_atomically(
            path, _MAGIC + hashlib.sha256(content).digest() + content, mode=0o600
        )
        _evict(path.parent, path.suffix)
    except OSError:
        return


def _evict(folder: Path, suffix: str) -> None:
    """Evict the least recently used files if there are too many."""
    kept = list(folder.glob(f"*{suffix}"))
    if len(kept) > _MAX_FILES:
        kept.sort(key=lambda file: file.stat().st_mtime)
        for file in kept[: _MAX_FILES // 4]:
            file.unlink(missing_ok=True)


@functools.cache
def compiler_digest() -> str:
    """Return a digest of the compiler sources; "" if they cannot be read.

    >>> compiler_digest() == compiler_digest()
    True
    """
    package = Path(__file__).parents[3]
    sources = [
        file
        for name in _COMPILER_SOURCES
        for file in sorted((package / name).rglob("*.py")) or [package / name]
    ]
    digest = hashlib.sha256()
    try:
        for file in sources:
            digest.update(file.read_bytes())
    except OSError:
        return ""
    return digest.hexdigest()
