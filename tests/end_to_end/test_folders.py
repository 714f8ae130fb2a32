"""From a folder of files to a model and back, on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from deltarule import data
from deltarule.cli.main import main


def _answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    capsys.readouterr()
    status = main([*arguments, "--json"])
    out, err = capsys.readouterr()
    assert status == 0, err
    return json.loads(out)


def _pictures(folder: Path) -> None:
    """Bright and dark squares on noise, in two folders."""
    random = np.random.default_rng(0)
    for i in range(60):
        pixels = random.integers(90, 160, (12, 12, 3))
        pixels[3:9, 3:9] = 230 if i % 2 else 20
        place = folder / ("bright" if i % 2 else "dark")
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(place / f"{i}.png")


def _mapped(folder: Path) -> None:
    data.write_mapped(folder, data.load("iris"))


@pytest.mark.parametrize(
    ("write", "least"), [(_pictures, 1.0), (_mapped, 0.8)], ids=["pictures", "arrays"]
)
def test_a_folder_is_trained_on_measured(
    write: Any, least: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "things"
    write(folder)
    model, page = str(tmp_path / "m.dr"), str(tmp_path / "r.html")
    trained = _answer(
        capsys, "train", str(folder), "--checkpoint", model, "--report", page
    )
    assert trained["test_accuracy"] >= least and Path(page).stat().st_size > 1000
    measured = _answer(capsys, "evaluate", model, str(folder))
    assert measured["accuracy"] == pytest.approx(trained["test_accuracy"])
    assert measured["part"] == "the test part" and measured["classes"] == list(
        data.read_folder(folder).class_names
    )
    every = _answer(capsys, "evaluate", model, str(folder), "--all")
    assert (
        every["samples"] == data.read_folder(folder).n_samples > trained["test_samples"]
    )


def test_pictures_without_classes_are_predicted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, model = tmp_path / "things", str(tmp_path / "m.dr")
    _pictures(folder)
    _answer(
        capsys,
        "train",
        str(folder),
        "--checkpoint",
        model,
        "--report",
        str(tmp_path / "r.html"),
    )
    one, unsorted = folder / "bright" / "1.png", tmp_path / "new"
    unsorted.mkdir()
    for i, label in enumerate(["bright", "dark", "dark"]):
        source = next(iter(sorted((folder / label).glob("*.png"))[i : i + 1]))
        (unsorted / f"{i}-{label}.png").write_bytes(source.read_bytes())
    written = tmp_path / "said.csv"
    assert (
        _answer(capsys, "predict", model, str(one), "--output", str(written))["samples"]
        == 1
    )
    assert written.read_text().splitlines()[1].startswith("1.png,bright,")
    assert (
        _answer(capsys, "predict", model, str(unsorted), "--output", str(written))[
            "samples"
        ]
        == 3
    )
    rows = [line.split(",")[:2] for line in written.read_text().splitlines()]
    assert rows == [
        ["file", "prediction"],
        ["0-bright.png", "bright"],
        ["1-dark.png", "dark"],
        ["2-dark.png", "dark"],
    ]


def test_a_picture_of_another_size_is_brought_to_the_models(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, model = tmp_path / "things", str(tmp_path / "m.dr")
    _pictures(folder)
    _answer(
        capsys,
        "train",
        str(folder),
        "--checkpoint",
        model,
        "--report",
        str(tmp_path / "r.html"),
    )
    large = tmp_path / "photo.jpg"
    with Image.open(folder / "bright" / "1.png") as opened:
        opened.resize((48, 36)).save(large, quality=95)
    assert (
        main(["predict", model, str(large), "--output", str(tmp_path / "said.csv")])
        == 0
    )
    out, err = capsys.readouterr()
    assert "photo.jpg: bright" in out
    assert (
        "pictures of 36×48 pixels are brought to 12×12, the size of the training data"
        in " ".join((out + err).split())
    )
    iris = str(tmp_path / "iris.dr")
    _answer(
        capsys,
        "train",
        "iris",
        "--epochs",
        "1",
        "--checkpoint",
        iris,
        "--report",
        str(tmp_path / "i.html"),
    )
    assert main(["predict", iris, str(large)]) == 1
    assert "got pictures, for a model of inputs 4" in " ".join(
        capsys.readouterr().err.split()
    )
