"""The compiler: object cache, errors, parallel compilation; and the machine description."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest

from deltarule.backends.native.llvm import machine as machines
from deltarule.backends.native.llvm.compiler import (
    assembly,
    compile_modules,
    compile_objects,
)
from deltarule.backends.native.llvm.machine import TARGETS, host, runs_here
from deltarule.backends.native.llvm.object_cache import cache_folder
from deltarule.errors import ArgumentError, GraphError


def module(name: str, value: int) -> str:
    triple = host().triple
    return (
        f'target triple = "{triple}"\ndefine i64 @{name}() {{\n  ret i64 {value}\n}}\n'
    )


def call(library, name):
    return library.function(name, ctypes.c_int64)()


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.object"))


def test_compiles_and_calls():
    assert (
        call(compile_modules([module("answer", 42)], host(), cache="off"), "answer")
        == 42
    )


def test_a_function_keeps_its_library():
    function = compile_modules([module("answer", 41)], host(), cache="off").function(
        "answer", ctypes.c_int64
    )
    assert [function() for _ in range(3)] == [41] * 3


def test_modules_refer_to_each_other():
    first = f'target triple = "{host().triple}"\ndeclare i64 @seven()\n'
    first += "define i64 @eight() {\n  %s = call i64 @seven()\n  %e = add i64 %s, 1\n  ret i64 %e\n}\n"
    library = compile_modules([first, module("seven", 7)], host(), cache="off")
    assert call(library, "eight") == 8


def test_many_modules_in_parallel():
    texts = [module(f"f{i}", i) for i in range(24)]
    library = compile_modules(texts, host(), cache="off")
    assert [call(library, f"f{i}") for i in range(24)] == list(range(24))


def test_objects_come_from_the_cache(tmp_path):
    text = module("answer", 1)
    (code,) = compile_objects([text], host(), cache=tmp_path)
    (file,) = files(tmp_path)
    assert compile_objects([text], host(), cache=tmp_path) == [code]
    file.write_bytes(file.read_bytes().replace(code, b""))
    (again,) = compile_objects([text], host(), cache=tmp_path)
    assert again == code
    assert call(compile_modules([text], host(), cache=tmp_path), "answer") == 1


@pytest.mark.parametrize("damage", [b"", b"garbage", None])
def test_a_damaged_cache_is_ignored_and_mended(tmp_path, damage):
    text = module("answer", 5)
    (code,) = compile_objects([text], host(), cache=tmp_path)
    (file,) = files(tmp_path)
    whole = file.read_bytes()
    flipped = whole[:-20] + bytes([whole[-20] ^ 1]) + whole[-19:]
    file.write_bytes(flipped if damage is None else damage)
    assert call(compile_modules([text], host(), cache=tmp_path), "answer") == 5
    assert file.read_bytes() == whole
    assert code in whole


def test_the_key_has_text_target_and_level(tmp_path):
    compile_objects([module("answer", 1)], host(), cache=tmp_path)
    compile_objects([module("answer", 2)], host(), cache=tmp_path)
    compile_objects([module("answer", 1)], host(), cache=tmp_path, level=2)
    other = "avx2" if host().name != "avx2" else "sse"
    compile_objects([module("answer", 1)], host(other), cache=tmp_path)
    assert len(files(tmp_path)) == 4
    assert not list(tmp_path.glob("*.part"))


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    assert (
        call(compile_modules([module("answer", 3)], host(), cache=blocked), "answer")
        == 3
    )


def test_the_folder_is_chosen_by_argument_then_variable_then_system(
    monkeypatch, tmp_path
):
    monkeypatch.setenv("DELTARULE_CACHE", str(tmp_path / "variable"))
    assert cache_folder(tmp_path) == tmp_path
    assert cache_folder() == tmp_path / "variable"
    monkeypatch.setenv("DELTARULE_CACHE", "off")
    assert cache_folder() is None
    monkeypatch.delenv("DELTARULE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setattr("sys.platform", "linux")
    assert cache_folder() == tmp_path / "xdg" / "deltarule" / "objects"
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    monkeypatch.setattr("sys.platform", "win32")
    assert cache_folder() == tmp_path / "local" / "deltarule" / "objects"
    monkeypatch.setattr("sys.platform", "darwin")
    assert cache_folder() == Path("~/Library/Caches/deltarule/objects").expanduser()


def test_old_objects_are_forgotten(tmp_path, monkeypatch):
    monkeypatch.setattr("deltarule.backends.native.llvm.object_cache._MAX_FILES", 8)
    for value in range(12):
        compile_objects([module("answer", value)], host(), cache=tmp_path)
    assert 6 <= len(files(tmp_path)) <= 8


def test_illegal_text_is_refused():
    with pytest.raises(GraphError, match="valid LLVM IR"):
        compile_objects(["nonsense"], host(), cache="off")
    with pytest.raises(GraphError, match="valid LLVM IR"):
        assembly("define i64 @f() { ret i32 1 }", host())
    with pytest.raises(GraphError, match="compiled function"):
        compile_modules([module("answer", 1)], host(), cache="off").address("question")
    with pytest.raises(ArgumentError, match="0 to 3"):
        compile_objects([module("answer", 1)], host(), cache="off", level=9)


def test_assembly_is_readable():
    assert "answer:" in assembly(module("answer", 1), host())


def test_targets():
    assert [host(name).lanes("float32") for name in TARGETS] == [16, 8, 4, 4]
    assert host().name in TARGETS and runs_here(host())
    assert runs_here(host("neon")) == (host().name == "neon")
    with pytest.raises(ArgumentError, match="one of avx512"):
        host("mmx")
    for name in TARGETS:
        spare = host(name).registers - (1 if host(name).fused else 2)
        assert all(
            rows * vectors + vectors <= spare for rows, vectors in host(name).tiles()
        )


def test_the_machine_is_described():
    here = host()
    assert here.cores >= 1
    assert 8 * 1024 <= here.caches.first <= here.caches.second


def test_cache_sizes_fall_back(monkeypatch, tmp_path):
    class Nowhere:
        def __init__(self, *_: str) -> None:
            pass

        def glob(self, _: str) -> list[Path]:
            return []

    monkeypatch.setattr(machines, "Path", Nowhere)
    assert machines._linux_caches() == {}
