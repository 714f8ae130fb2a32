"""Partition of modules: each definition is in one part, and the parts compute the same as the whole module."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from deltarule.backends.native.llvm import module_partition
from deltarule.backends.native.llvm.compiler import assembly
from deltarule.backends.native.llvm.machine import TARGETS, host
from deltarule.backends.native.program.codegen import generate_step
from deltarule.backends.native.program.runner import NativeRunner
from support import graphs


def _defined(text: str) -> list[str]:
    return re.findall(r"^define (?:internal )?\S+ @([\w.]+)\(", text, re.MULTILINE)


def test_kernels_are_divided_and_what_they_need_is_in_each_part() -> None:
    definitions = {
        "exp": "define internal float @exp(float %x) nounwind {\n ret float %x\n}\n",
        "@table": "@table = private unnamed_addr constant [1 x i64] [i64 1]",
        "big": "define internal void @big(ptr %a) nounwind {\n call float @exp(float 1.0)\n"
        + "; \n" * 40_000
        + "}\n",
        "small": "define internal void @small(ptr %a, i64 %n) nounwind {\n load i64, ptr @table\n call @exp()\n}\n",
        "spare": "define internal void @spare() nounwind {\n}\n",
    }
    main = "define void @run(ptr %c) nounwind {\n call void @big(ptr %c)\n call void @small(ptr %c, i64 1)\n}\n"
    first, second = module_partition.partition_module(
        definitions, ["big", "small"], main, replace(host(), cores=2)
    )
    assert _defined(first) == ["exp", "small", "run"]
    assert _defined(second) == ["exp", "big"]
    assert "declare void @big(ptr %a)" in first
    assert "define void @big(" in second and "define internal float @exp(" in second
    assert "@table = " in first and "@table = " not in second
    assert not any("@spare" in text for text in (first, second))  # nobody calls it
    (whole,) = module_partition.partition_module(
        definitions, ["big", "small"], main, replace(host(), cores=1)
    )
    assert _defined(whole) == ["exp", "big", "small", "run"]


@pytest.mark.parametrize("target", TARGETS)
def test_each_part_is_legal_by_itself_and_defines_each_kernel_once(
    target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module_partition, "_MIN_LENGTH", 10_000)
    machine = replace(host(target), cores=3)
    texts = generate_step(graphs.network((20, 32, 10), 16, "adam"), machine, 2)[1]
    assert len(texts) == 3
    for text in texts:
        assert assembly(text, machine)
    kernels = [
        name
        for text in texts
        for name in _defined(text)
        if re.fullmatch(r"kernel\d+", name)
    ]
    assert len(kernels) == len(set(kernels)) > 5


def test_the_parts_compute_what_the_whole_computes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DELTARULE_CACHE", "off")
    step = graphs.network((20, 32, 10), 16, "adam")
    state, data = graphs.values(step, 64)
    results = []
    for least in (10**9, 5_000):
        monkeypatch.setattr(module_partition, "_MIN_LENGTH", least)
        runner = NativeRunner(step, replace(host(), cores=4), 2)
        runner.load(state)
        results.append((runner.run(data, np.arange(64), 0, 0, (0.1,)), runner.read()))
    (metrics, read), (others, read_too) = results
    np.testing.assert_array_equal(metrics, others)
    for one, other in zip(read, read_too, strict=True):
        np.testing.assert_array_equal(one, other)
