"""What the cache folder holds is run: only files that nobody else could have written are taken."""

from __future__ import annotations

import os
import sys
import warnings

import pytest

from deltarule.backends.native.llvm import object_cache

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="owners and modes of POSIX"
)


@pytest.fixture
def kept(tmp_path):
    folder = tmp_path / "objects"
    path = folder / "program.o"
    object_cache._warn_once.cache_clear()
    object_cache.write(path, b"code")
    assert object_cache.read(path) == b"code"
    return path


def test_folder_and_files_belong_to_the_user_alone(kept):
    assert (
        kept.parent.stat().st_mode & 0o777 == 0o700
        and kept.stat().st_mode & 0o777 == 0o600
    )
    assert [file.name for file in kept.parent.iterdir()] == ["program.o"]


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_write_to_counts_as_absent(kept, mode):
    kept.chmod(mode)
    assert object_cache.read(kept) is None


def test_files_that_others_may_only_read_are_taken(kept):
    kept.chmod(0o644)
    kept.parent.chmod(0o755)
    assert object_cache.read(kept) == b"code"


@pytest.mark.parametrize("mode", [0o770, 0o777, 0o1777])
def test_a_folder_that_others_may_write_to_is_not_used_and_a_warning_says_so_once(
    kept, mode
):
    kept.parent.chmod(mode)
    with pytest.warns(UserWarning, match="other users can write to it"):
        assert object_cache.read(kept) is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert object_cache.read(kept) is None
    object_cache.write(kept.with_name("other.o"), b"code")
    assert not kept.with_name("other.o").exists()


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0,
    reason="only root can give files away",
)
@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_file_or_folder_of_another_user_is_not_used(kept, what):
    os.chown(kept if what == "file" else kept.parent, 65534, -1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert object_cache.read(kept) is None


def test_another_users_file_is_not_used_whoever_runs_the_test(kept, monkeypatch):
    owner = kept.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    if owner != 0:  # what root wrote is trusted
        assert object_cache.read(kept) is None
    else:
        assert object_cache.read(kept) == b"code"


def test_links_and_pipes_in_place_of_a_file_count_as_absent_at_once(kept):
    link, pipe = kept.with_name("link.o"), kept.with_name("pipe.o")
    link.symlink_to(kept)
    os.mkfifo(pipe)
    assert object_cache.read(link) is None and object_cache.read(pipe) is None


def test_a_link_to_the_users_own_folder_is_followed(kept, tmp_path):
    (tmp_path / "link").symlink_to(kept.parent)
    assert object_cache.read(tmp_path / "link" / kept.name) == b"code"


def test_damage_and_stale_drafts(kept):
    whole = kept.read_bytes()
    kept.write_bytes(whole[:-1] + b"?")
    assert object_cache.read(kept) is None
    (kept.parent / ".program.o.0123.part").touch()
    object_cache._swept.clear()
    object_cache.write(kept, b"code")
    assert object_cache.read(kept) == b"code" and [
        file.name for file in kept.parent.iterdir()
    ] == ["program.o"]
