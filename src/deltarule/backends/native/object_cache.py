"""Files of compiled code in the user's cache folder: written atomically, and a damaged one counts as absent.

The folder is the argument ``chosen``, else the variable DELTARULE_CACHE ("off" for none), else the user's cache folder.
"""

from __future__ import annotations

import functools
import hashlib
import os
import sys
import tempfile
from pathlib import Path

_MAGIC = b"deltarule object 1\n"
_MOST_FILES = 2000
_COMPILER = ("graph", "simplify", "lower", "backends", "dtypes.py", "shapes.py")  # from a graph to machine code


def cache_folder(chosen: str | Path | None = None) -> Path | None:
    """Return the folder of the object cache; None if caching is off.

    >>> cache_folder("off") is None
    True
    """
    choice = str(chosen) if chosen is not None else os.environ.get("DELTARULE_CACHE", "")
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
    """Return what was written to a file; None if it is absent or damaged."""
    try:
        content = path.read_bytes()
        os.utime(path)  # the oldest go first: those that nobody has read for longest
    except OSError:
        return None
    start = len(_MAGIC) + hashlib.sha256().digest_size
    found = content[start:]
    return found if content[:start] == _MAGIC + hashlib.sha256(found).digest() else None


def write(path: Path, content: bytes) -> None:
    """Write atomically; a folder that can't be written only means that nothing is cached."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(_MAGIC + hashlib.sha256(content).digest() + content)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
        _forget_oldest(path.parent, path.suffix)
    except OSError:
        return


def _forget_oldest(folder: Path, suffix: str) -> None:
    files = list(folder.glob(f"*{suffix}"))
    if len(files) > _MOST_FILES:
        files.sort(key=lambda file: file.stat().st_mtime)
        for file in files[: _MOST_FILES // 4]:
            file.unlink(missing_ok=True)


@functools.cache
def compiler_digest() -> str:
    """Return a digest of the source between a graph and machine code; "" where the source can't be read."""
    package = Path(__file__).parents[2]
    files = [file for name in _COMPILER for file in sorted((package / name).rglob("*.py")) or [package / name]]
    digest = hashlib.sha256()
    try:
        for file in files:
            digest.update(file.read_bytes())
    except OSError:
        return ""
    return digest.hexdigest()
