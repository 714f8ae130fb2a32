"""``deltarule bench``: figures of the workloads as lines and as JSON, and the comparison with the reference backend."""

from __future__ import annotations

import json

import pytest

from deltarule.cli.commands import bench
from deltarule.cli.main import main
from deltarule.cli.workloads import WORKLOADS


def test_training_is_measured_and_learns(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "w5", "--seconds", "0.05", "--threads", "1", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["workload"] == "W5" and row["threads"] == 1
    assert row["samples_per_second"] > 1000
    assert row["gflops"] == pytest.approx(
        row["samples_per_second"] * WORKLOADS["W5"].flops / 1e9
    )
    assert row["loss_last"] < row["loss_first"] / 2
    assert 0 < row["compile_seconds_cached"] < row["compile_seconds"]


def test_native_and_reference_agree(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "W1", "W5", "--check"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["W1", "W5"]
    assert all("20 steps" in line for line in lines)


def test_cycles_are_counted_by_statement(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(
            [
                "bench",
                "W2",
                "--statements",
                "--seconds",
                "0.05",
                "--threads",
                "1",
                "--json",
            ]
        )
        == 0
    )
    rows = json.loads(capsys.readouterr().out)
    assert sum(row["share"] for row in rows) == pytest.approx(1)
    assert all(row["cycles"] > 0 for row in rows)
    largest = max(
        rows, key=lambda row: row["share"]
    )  # the first layer has 98 % of the operations
    assert largest["statement"].startswith(("matmul", "multiply matmul"))
    assert rows[-1]["statement"] == "others"


def test_inference_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "W10", "--seconds", "0.05", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["network"], row["examples"]) for row in rows] == [
        ("W2", 1),
        ("W2", 1024),
        ("W6", 1),
        ("W6", 1024),
    ]
    assert all(row["samples_per_second"] > 100 for row in rows)


def test_classical_learners_are_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "_KNOWN", 300)
    monkeypatch.setattr(bench, "_QUERIES", 20)
    assert main(["bench", "W11"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("W11  5 nearest of 300 × 784, 20 queries")
    assert lines[1].startswith("W11  50 components of 300 × 784")


def test_unknown_workloads_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "W99"]) == 1
    assert "names among W1, W2" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--check", "--statements"])
def test_only_training_is_looked_into(
    flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "W1", "W10", flag]) == 1
    assert "workloads that train, got W10" in capsys.readouterr().err


def test_one_thing_at_a_time(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "W1", "--check", "--statements"]) == 1
    assert "--check or --statements, got both" in capsys.readouterr().err


def test_nan_does_not_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    found = iter([1e-7, float("nan")])
    monkeypatch.setattr(
        bench,
        "check",
        lambda w, threads: {
            "workload": w.name,
            "steps": 1,
            "state_difference": 0.0,
            "loss_difference": next(found),
        },
    )
    assert main(["bench", "W1", "W5", "--check"]) == 1
