"""What a newcomer types: train, evaluate, predict, summary, from the data to the files."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

import deltarule as dr
from deltarule.cli.main import main
from deltarule.data import load

PROGRAM = [
    sys.executable,
    "-c",
    "import sys; from deltarule.cli.main import main; sys.exit(main())",
]


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """Run a command with --json; its standard output must be one object."""
    capsys.readouterr()
    status = main([*arguments, "--json"])
    out, err = capsys.readouterr()
    assert status == 0, err
    assert out.count("\n") == 1
    found: dict[str, Any] = json.loads(out)
    return found


def _sha256(path: str) -> str:
    """Hash parameters as the documentation says, from the file alone."""
    arrays = load_file(path)
    state = ("mean", "deviation", "running_mean", "running_variance")
    names = sorted(
        n for n in arrays if n.startswith("weights/") and not n.endswith(state)
    )
    return hashlib.sha256(
        b"".join(arrays[name].astype("<f4").tobytes() for name in names)
    ).hexdigest()


# ---------------------------------------------------------------- train


def test_train_answers_with_accuracy_files_and_hash(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = _answer(capsys, "train", "iris", "--seed", "2")
    assert found["test_accuracy"] >= 0.85 and found["test_samples"] == 30
    assert found["steps"] == found["epochs"] * 4 and found["epochs"] <= 100
    assert found["samples_per_second"] > 0 and found["compile_seconds"] >= 0
    assert found["checkpoint"] == "iris.dr" and found["report"] == "iris-report.html"
    assert found["weights_sha256"] == _sha256("iris.dr")
    assert found["weights_sha256"] in Path("iris-report.html").read_text(
        encoding="utf-8"
    )
    assert sorted(os.listdir()) == ["iris-report.html", "iris.dr"]


def test_train_tells_data_model_progress_score_and_files(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert (
        main(
            [
                "train",
                "wine",
                "--epochs",
                "2",
                "--report",
                "page.html",
                "--checkpoint",
                "w.dr",
            ]
        )
        == 0
    )
    out = capsys.readouterr().out
    data = (
        "Wines",
        "3 classes: class_0, class_1, class_2",
        "seed 0",
        "CC BY 4.0",
        "Aeberhard",
    )
    course = ("13·64 + 64", "epoch 1/2", "epoch 2/2", "val_loss", "samples/s")
    for wanted in (*data, *course, "test accuracy", "w.dr", "page.html"):
        assert wanted in out, wanted
    assert "\x1b" not in out, "no control characters outside a terminal"


def test_same_seed_same_bits_for_any_number_of_threads(
    capsys: pytest.CaptureFixture[str],
) -> None:
    first = _answer(capsys, "train", "wine", "--epochs", "3", "--threads", "1")
    second = _answer(capsys, "train", "wine", "--epochs", "3", "--threads", "2")
    other = _answer(capsys, "train", "wine", "--epochs", "3", "--seed", "1")
    assert (
        first["weights_sha256"] == second["weights_sha256"] != other["weights_sha256"]
    )


def test_regression_reports_r2_as_scikit_learn_computes_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from sklearn.metrics import r2_score

    found = _answer(capsys, "train", "diabetes")
    assert "test_accuracy" not in found and found["test_r2"] > 0.3
    _answer(capsys, "evaluate", "diabetes.dr", "diabetes", "--output", "said.csv")
    with Path("said.csv").open(newline="", encoding="utf-8") as stream:
        lines = list(csv.DictReader(stream))
    truth, said = (
        [float(line[name]) for line in lines] for name in ("truth", "prediction")
    )
    assert len(truth) == 88 and found["test_r2"] == pytest.approx(
        r2_score(truth, said), abs=1e-5
    )


def test_resumed_run_is_equal_to_the_bit(capsys: pytest.CaptureFixture[str]) -> None:
    whole = _answer(
        capsys, "train", "wine", "--epochs", "6", "--checkpoint", "whole.dr"
    )
    _answer(capsys, "train", "wine", "--epochs", "2", "--checkpoint", "part.dr")
    rest = _answer(
        capsys, "train", "wine", "--epochs", "6", "--checkpoint", "part.dr", "--resume"
    )
    assert rest["weights_sha256"] == whole["weights_sha256"]
    assert (rest["steps"], rest["test_accuracy"]) == (
        whole["steps"],
        whole["test_accuracy"],
    )


def _step_of(path: Path) -> int:
    with safe_open(path, framework="numpy") as stream:
        document: dict[str, Any] = json.loads(stream.metadata()["document"])
    return int(document["history"]["steps"])


@pytest.mark.slow
def test_killed_run_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    train = [
        *PROGRAM,
        "train",
        "digits",
        "--epochs",
        "12",
        "--json",
        "--checkpoint-every",
        "7",
        "--checkpoint",
    ]
    whole = json.loads(
        subprocess.run([*train, "whole.dr"], check=True, capture_output=True).stdout
    )
    with subprocess.Popen([*train, "cut.dr"], stdout=subprocess.DEVNULL) as cut:
        while not Path("cut.dr").exists():
            assert cut.poll() is None
            time.sleep(0.01)
        cut.send_signal(signal.SIGKILL)
    assert 0 < _step_of(tmp_path / "cut.dr") < whole["steps"]
    rest = json.loads(
        subprocess.run(
            [*train, "cut.dr", "--resume"], check=True, capture_output=True
        ).stdout
    )
    assert (
        rest["weights_sha256"] == whole["weights_sha256"]
        and rest["steps"] == whole["steps"]
    )


@pytest.mark.slow
def test_interrupted_run_says_how_to_go_on() -> None:
    command = [*PROGRAM, "train", "digits", "--checkpoint", "int.dr", "--epochs", "500"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        while not Path("int.dr").exists():
            assert run.poll() is None
            time.sleep(0.01)
        run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=60)
    assert run.returncode == 130 and err == "interrupted\n"
    assert (
        "go on with: deltarule train digits --epochs 500 --seed 0 --checkpoint int.dr --resume"
        in out
    )


@pytest.mark.slow
@pytest.mark.parametrize("seed", ["0", "1"])
def test_digits_reach_97_percent(seed: str) -> None:
    told = subprocess.run(
        [*PROGRAM, "train", "digits", "--seed", seed, "--json"],
        check=True,
        capture_output=True,
    )
    found = json.loads(told.stdout)
    assert found["test_accuracy"] >= 0.97 and found["test_samples"] == 359
    page = Path(found["report"]).read_text(encoding="utf-8")
    assert page.count("<figure><img ") == round((1 - found["test_accuracy"]) * 359)


# ---------------------------------------------------------------- a file of one's own


def _flowers(path: Path) -> None:
    """Write iris as a table with text: a colour that follows the class now and then."""
    iris = load("iris")
    generator = np.random.default_rng(0)
    colours = np.where(
        generator.random(150) < 0.8,
        np.array(["blue", "red", "white"])[iris.targets],
        "blue",
    )
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["sepal length", "species", "petal length", "colour"])
        for x, label, colour in zip(iris.inputs, iris.targets, colours, strict=True):
            writer.writerow([x[0], iris.class_names[label], x[2], colour])


def test_own_table_from_training_to_predictions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _flowers(tmp_path / "flowers.csv")
    trained = _answer(
        capsys, "train", "flowers.csv", "--target", "species", "--epochs", "60"
    )
    assert trained["test_accuracy"] >= 0.8
    measured = _answer(
        capsys, "evaluate", "flowers.dr", "flowers.csv", "--output", "said.npz"
    )
    assert (
        measured["part"] == "the test part"
        and measured["accuracy"] == trained["test_accuracy"]
    )
    with np.load("said.npz") as held:
        right = held["predictions"] == held["truth"]
        assert len(right) == 30 and right.mean() == measured["accuracy"]
    (tmp_path / "new.csv").write_text(
        "colour,petal length,note,sepal length\nblue,1.4,x,5.1\n", encoding="utf-8"
    )
    predicted = _answer(capsys, "predict", "flowers.dr", "new.csv")
    assert predicted["output"] == "new-predictions.csv" and predicted["samples"] == 1
    assert (
        Path("new-predictions.csv")
        .read_text(encoding="utf-8")
        .splitlines()[1]
        .startswith("0,setosa,")
    )


def test_other_data_is_measured_on_all_rows(capsys: pytest.CaptureFixture[str]) -> None:
    _answer(capsys, "train", "iris", "--epochs", "2")
    assert _answer(capsys, "evaluate", "iris.dr", "iris", "--all")["samples"] == 150
    iris = load("iris")
    np.savez(
        "more.npz", X=iris.inputs[::3], y=np.array(iris.class_names)[iris.targets[::3]]
    )
    found = _answer(capsys, "evaluate", "iris.dr", "more.npz")
    assert found["part"] == "all rows" and found["samples"] == 50
    assert np.sum(found["confusion"]) == 50 and found["classes"] == list(
        iris.class_names
    )


def test_predictions_of_the_file_are_those_of_python(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _answer(capsys, "train", "wine", "--epochs", "3")
    _answer(capsys, "predict", "wine.dr", "wine", "--output", "wine.npz")
    with np.load("wine.npz") as held:
        assert np.allclose(
            held["probabilities"],
            dr.load("wine.dr").predict_proba(load("wine").inputs),
            atol=1e-6,
        )


def test_summary_of_a_name_and_of_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    planned = _answer(capsys, "summary", "iris", "--model", "linear")
    assert planned["n_parameters"] == 4 * 3 + 3 and planned["complete"] is True
    _answer(capsys, "train", "iris", "--model", "linear", "--epochs", "1")
    assert _answer(capsys, "summary", "iris.dr")["n_parameters"] == 15
    assert main(["summary", "iris.dr"]) == 0
    out = capsys.readouterr().out
    assert "iris.dr: linear for iris" in out and re.search(r"4·3 \+ 3 += +15", out)


# ---------------------------------------------------------------- faults


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["train", "nothing.csv"], "nothing.csv: expected a file that exists"),
        (["train", "iris", "--model", "lenet"], "Use --model mlp for tables."),
        (["train", "iris", "--device", "abacus"], "--device: expected"),
        (["train", "iris", "--resume"], "no such file"),
        (["evaluate", "nothing.dr", "iris"], "no such file"),
        (
            ["predict", "nothing.dr", "iris", "--output", "a.txt"],
            "expected a .csv or .npz file",
        ),
        (["train", "iris", "--learning-rate", "1e30"], "expected a finite loss"),
    ],
)
def test_faults_are_told_in_lines_with_a_status(
    capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    assert main([*arguments, "--json"]) == 1
    out, err = capsys.readouterr()
    assert (
        out == ""
        and err.startswith("error: ")
        and told in err
        and "Traceback" not in err
    )


def test_damaged_and_foreign_model_files(capsys: pytest.CaptureFixture[str]) -> None:
    _answer(capsys, "train", "iris", "--epochs", "1")
    whole = Path("iris.dr").read_bytes()
    for name, content in (("cut.dr", whole[: len(whole) // 2]), ("other.dr", b"hello")):
        Path(name).write_bytes(content)
        assert main(["evaluate", name, "iris"]) == 1
        assert "damaged or foreign" in capsys.readouterr().err
    dr.nn.Sequential(dr.nn.Linear(4, 3)).save("plain.dr")
    assert main(["evaluate", "plain.dr", "iris"]) == 1
    assert "without the names of its classes and features" in capsys.readouterr().err
