"""``deltarule export``, ``summary --memory`` and ``--svg``: the C file run beside the model, the plan, the drawing."""

from __future__ import annotations

import ctypes
import json
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import deltarule as dr
from deltarule import data, nn
from deltarule.cli.main import main
from deltarule.train.listing import training_plan
from support.oracles import onnxruntime


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "digits.dr"
    assert (
        main(["train", "digits", "--epochs", "1", "--checkpoint", str(path), "--json"])
        == 0
    )
    return path


@pytest.mark.skipif(shutil.which("gcc") is None, reason="the C file needs a C compiler")
def test_the_c_file_predicts_what_the_model_predicts(
    trained: Path, tmp_path: Path
) -> None:
    assert (
        main(
            [
                "export",
                str(trained),
                "--c",
                str(tmp_path / "digits.c"),
                "--batch-size",
                "4",
            ]
        )
        == 0
    )
    library = tmp_path / "digits.so"
    command = [
        "gcc",
        "-std=c99",
        "-O1",
        "-Wall",
        "-Werror",
        "-ffp-contract=off",
        "-shared",
        "-fPIC",
        str(tmp_path / "digits.c"),
        "-o",
        str(library),
        "-lm",
    ]
    subprocess.run(command, check=True)
    x = np.ascontiguousarray(data.load("digits").inputs[:4])
    answer = np.zeros((4, 10), np.float32)
    assert (
        ctypes.CDLL(str(library)).predict(
            x.ctypes.data_as(ctypes.c_void_p), answer.ctypes.data_as(ctypes.c_void_p)
        )
        == 0
    )
    np.testing.assert_allclose(
        answer, dr.load(trained).predict(x), rtol=1e-5, atol=1e-5
    )


def test_the_onnx_file_predicts_what_the_model_predicts(
    trained: Path, tmp_path: Path
) -> None:
    path = tmp_path / "digits.onnx"
    assert main(["export", str(trained), "--onnx", str(path), "--json"]) == 0
    x = data.load("digits").inputs[:5]
    theirs = onnxruntime.InferenceSession(str(path)).run(
        None, {"x": np.moveaxis(x, -1, 1)}
    )[0]
    np.testing.assert_allclose(theirs, dr.load(trained).predict(x), atol=1e-4)


def test_export_without_a_form_is_refused(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(trained)]) == 1
    assert "expected --c FILE or --onnx FILE" in capsys.readouterr().err


def test_the_memory_plan_is_printed(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["summary", str(trained), "--memory", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert main(["summary", str(trained), "--memory"]) == 0
    printed = capsys.readouterr().out
    assert f"arena of {record['memory_bytes']:,} bytes" in printed
    assert (
        f"{record['step_kernels']} kernels" in printed
        and f"{record['step_flops']:,} flops" in printed
    )


def test_a_plan_holds_parameters_slots_and_what_lives_at_once() -> None:
    model = nn.Sequential(nn.Linear(100, 50), nn.ReLU(), nn.Linear(50, 10))
    plan = training_plan(model, (100,), (), "cross_entropy", "adam", 32).memory
    lasting = 3 * 4 * model.n_parameters
    assert (
        lasting <= plan.nbytes <= lasting + 4 * 32 * (100 + 4 * 50 + 6 * 10) + 64 * 40
    )


def test_source_shows_the_loops_and_the_c_file() -> None:
    layer = nn.Linear(3, 2)
    assert "int predict(" in layer.source_code((3,))
    assert "for" in layer.source_code((3,), form="loops") or "Σ" in layer.source_code(
        (3,), form="loops"
    )


def test_summary_draws_the_network(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "figures" / "network.svg"
    assert main(["summary", str(trained), "--svg", str(target), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["svg"] == str(target)
    root = ElementTree.fromstring(target.read_text(encoding="utf-8"))
    assert root.tag.endswith("svg")
    assert main(["summary", str(trained), "--svg", str(tmp_path)]) == 1
    assert "expected the name of a file, got a folder" in capsys.readouterr().err
