"""Files of compiled code in the user's cache folder: written atomically; a damaged or foreign one counts as absent.

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

_MAGIC = b"deltarule object 1\n"
_MOST_FILES = 2000
_FOLDER = (
    getattr(os, "O_DIRECTORY", 0) if os.open in os.supports_dir_fd else 0
)  # 0 where folders cannot be opened
_swept: set[Path] = set()  # folders whose stale drafts were removed
_COMPILER = (
    "graph",
    "simplify",
    "lower",
    "backends",
    "dtypes.py",
    "shapes.py",
)  # from a graph to machine code


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
    """Return what was written to a file; None if it is absent, damaged, or could have been written by somebody else.

    What the cache holds is run, so a file counts only if it is a regular one that belongs to this user (or root) and
    that no other user may write to, in a folder of which the same is true. What is checked is what was opened, and a
    link in place of the file is not followed.
    """
    try:
        folder = os.open(path.parent, os.O_RDONLY | _FOLDER) if _FOLDER else None
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
    """Return the bytes of a file in an open folder; raises OSError for one that is not to be trusted."""
    flags = (
        os.O_RDONLY
        | getattr(os, "O_NOFOLLOW", 0)
        | getattr(os, "O_NONBLOCK", 0)
        | getattr(os, "O_BINARY", 0)
    )
    handle = os.open(path if folder is None else path.name, flags, dir_fd=folder)
    with os.fdopen(handle, "rb") as file:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode) or not _trusted(about):
            raise PermissionError(f"{path} may be written by another user")
        with contextlib.suppress(
            OSError
        ):  # what has not been read for longest goes first; root's files stay as they are
            os.utime(handle if os.utime in os.supports_fd else path)
        return file.read()


def _trusted(about: os.stat_result) -> bool:
    """Tell whether only this user and root could have written a file or folder."""
    if (
        sys.platform == "win32"
    ):  # access lists, not modes; the default folder is the user's own
        return True
    return about.st_uid in {0, os.geteuid()} and not about.st_mode & (
        stat.S_IWGRP | stat.S_IWOTH
    )


@functools.cache
def _warn_once(folder: Path) -> None:
    warnings.warn(
        f"compiled programs in {folder} are not used: another user may write there. "
        f"Take that away (chmod go-w), or choose a folder of your own with DELTARULE_CACHE.",
        stacklevel=2,
    )


def write(path: Path, content: bytes) -> None:
    """Write atomically; a folder that cannot be written, or not be trusted, only means that nothing is cached."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _trusted(path.parent.stat()):  # nothing there would be read
            return
        if path.parent not in _swept:
            _swept.add(path.parent)
            files.remove_stale_drafts(path.parent)
        files.write_atomically(
            path, _MAGIC + hashlib.sha256(content).digest() + content, mode=0o600
        )
        _forget_oldest(path.parent, path.suffix)
    except OSError:
        return


def _forget_oldest(folder: Path, suffix: str) -> None:
    kept = list(folder.glob(f"*{suffix}"))
    if len(kept) > _MOST_FILES:
        kept.sort(key=lambda file: file.stat().st_mtime)
        for file in kept[: _MOST_FILES // 4]:
            file.unlink(missing_ok=True)


@functools.cache
def compiler_digest() -> str:
    """Return a digest of the source between a graph and machine code; "" where the source can't be read."""
    package = Path(__file__).parents[3]
    sources = [
        file
        for name in _COMPILER
        for file in sorted((package / name).rglob("*.py")) or [package / name]
    ]
    digest = hashlib.sha256()
    try:
        for file in sources:
            digest.update(file.read_bytes())
    except OSError:
        return ""
    return digest.hexdigest()
