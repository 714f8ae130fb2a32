"""``deltarule train NAME --model vae``: a small run from the data to the files, and what it refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import deltarule as dr
from deltarule.cli.inputs import data_source
from deltarule.cli.main import main


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    capsys.readouterr()
    status = main(["train", *arguments, "--json"])
    out, err = capsys.readouterr()
    assert status == 0, err
    assert out.count("\n") == 1
    found: dict[str, Any] = json.loads(out)
    return found


def test_small_run_learns_and_answers_with_the_bound(
    capsys: pytest.CaptureFixture[str],
) -> None:
    few = _answer(
        capsys, "digits", "--model", "vae", "--epochs", "1", "--checkpoint", "few.dr"
    )
    found = _answer(capsys, "digits", "--model", "vae", "--epochs", "12")
    assert (
        few["test_elbo"] + 3 < found["test_elbo"] < found["test_log_likelihood"] < -20
    )
    assert found["test_elbo"] == pytest.approx(
        -found["test_reconstruction"] - found["test_kl"]
    )
    assert (
        0 < found["test_elbo_error"] < 0.5
        and 0 < found["test_log_likelihood_error"] < 0.5
    )
    assert (
        found["test_samples"] == 359
        and found["epochs"] == 12
        and found["steps"] == 12 * 40
    )
    assert sorted(path.name for path in Path().iterdir()) == [
        "digits-report.html",
        "digits.dr",
        "few.dr",
    ]


def test_answer_is_that_of_the_written_model(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = _answer(
        capsys,
        "digits",
        "--model",
        "vae",
        "--epochs",
        "2",
        "--latent-size",
        "3",
        "--seed",
        "4",
    )
    model = dr.load("digits.dr")
    assert isinstance(model, dr.generative.VAE) and model.latent_size == 3
    data = dr.data.load("digits")
    images = data.inputs[data_source.divide(data, 4).test]
    elbo, _ = model.elbo(images, 500)
    assert found["test_elbo"] == pytest.approx(elbo.mean(), rel=1e-6)
    shown = dr.train.predict(model, images)
    assert found["test_kl"] == pytest.approx(shown[:, 2].mean(), rel=1e-5)


def test_terminal_tells_data_model_progress_bound_and_files(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status = main(
        [
            "train",
            "digits",
            "--model",
            "vae",
            "--epochs",
            "2",
            "--report",
            "page.html",
            "--checkpoint",
            "v.dr",
        ]
    )
    out = capsys.readouterr().out
    assert status == 0
    for wanted in (
        "Handwritten digits",
        "seed 0",
        "encoder.1: Linear(64→256)",
        "decoder.5: Unflatten(8×8×1)",
        "epoch 2/2",
        "reconstruction",
        "val_elbo",
        "samples/s",
        "test ELBO",
        "importance sampling, 500 draws",
        "v.dr",
        "page.html",
    ):
        assert wanted in out, wanted
    assert "\x1b" not in out


@pytest.mark.parametrize("latent_size", ["2", "5"])
def test_report_is_one_file_with_samples_reconstructions_and_map(
    capsys: pytest.CaptureFixture[str], latent_size: str
) -> None:
    found = _answer(
        capsys,
        "digits",
        "--model",
        "vae",
        "--epochs",
        "2",
        "--latent-size",
        latent_size,
    )
    text = Path(found["report"]).read_text(encoding="utf-8")
    page = ElementTree.fromstring(text.removeprefix("<!DOCTYPE html>\n"))
    addresses = [
        value
        for node in page.iter()
        for key, value in node.attrib.items()
        if key.endswith(("src", "href"))
    ]
    assert addresses and all(address.startswith("data:") for address in addresses)
    assert page.find(".//{*}script") is None and "url(" not in text
    counts = [
        len(figure.findall(".//{*}image"))
        for figure in page.iter()
        if figure.tag.endswith("}figure")
    ]
    assert counts == [
        0,
        0,
        0,
        32,
        20,
        0,
        144,
        40,
    ]  # three curves, samples, pairs, map, grid, five lines of eight
    assert len(page.findall(".//{*}circle")) == 359
    for heading in (
        "Learning curves",
        "Bound and likelihood",
        "New images",
        "Reconstructions",
        "Latent map",
    ):
        assert f">{heading}</h2>" in text
    plane = (
        "the latent plane"
        if latent_size == "2"
        else "the plane of largest variance of 5 latent variables"
    )
    assert found["weights_sha256"] in text and plane in text
    lead = re.search(r"<strong>−([\d.]+) ± ([\d.]+) nats</strong>", text)
    assert lead is not None and float(lead[1]) == pytest.approx(
        -found["test_elbo"], abs=0.006
    )


def test_resumed_run_is_equal_to_the_bit(capsys: pytest.CaptureFixture[str]) -> None:
    whole = _answer(
        capsys, "digits", "--model", "vae", "--epochs", "3", "--checkpoint", "whole.dr"
    )
    _answer(
        capsys, "digits", "--model", "vae", "--epochs", "1", "--checkpoint", "part.dr"
    )
    rest = _answer(
        capsys,
        "digits",
        "--model",
        "vae",
        "--epochs",
        "3",
        "--checkpoint",
        "part.dr",
        "--resume",
    )
    assert rest["weights_sha256"] == whole["weights_sha256"]
    assert (rest["test_elbo"], rest["steps"]) == (whole["test_elbo"], whole["steps"])


def _images(path: str, values: np.ndarray, targets: np.ndarray) -> str:
    np.savez(path, inputs=values, targets=targets)
    return path


def test_what_is_no_image_of_classes_gives_one_clear_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("words.csv").write_text(
        "colour,size,kind\n" + "red,1,a\nblue,2,b\n" * 8, encoding="utf-8"
    )
    generator = np.random.default_rng(0)
    pictures = generator.random((40, 8, 8, 1)).astype(np.float32)
    classes = np.arange(40) % 4
    cases = {
        "diabetes": "for diabetes: expected images of classes, .* got a table of 10 features.",
        "wine": "got a table of 13 features.",
        "words.csv": "for words: expected images of classes, .* got a table of",
        _images(
            "large.npz", pictures * 255, classes
        ): "got values from .* to 25.*Scale them",
        _images(
            "numbers.npz", pictures, generator.normal(size=40)
        ): "got images with numbers to predict",
        _images(
            "planes.npz", np.repeat(pictures, 2, axis=-1), classes
        ): "got images of 8×8×2",
        "nothing.npz": "a file that exists",
    }
    for name, told in cases.items():
        assert main(["train", name, "--model", "vae"]) == 1
        out, err = capsys.readouterr()
        assert out == "" and err.startswith("error: ") and err.count("error") == 1, err
        assert re.search(told, err, re.DOTALL), err
    assert not list(Path().glob("*.dr")) and not list(Path().glob("*.html"))


def test_pictures_of_three_channels_are_learned(
    capsys: pytest.CaptureFixture[str],
) -> None:
    pictures = np.random.default_rng(0).random((40, 8, 8, 3)).astype(np.float32)
    name = _images(
        "colours.npz", pictures, np.array(["flower", "leaf"])[np.arange(40) % 2]
    )
    found = _answer(capsys, name, "--model", "vae", "--epochs", "1")
    assert found["test_samples"] == 8 and "leaf" in Path(found["report"]).read_text(
        encoding="utf-8"
    )


def test_options_that_do_not_belong_are_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["train", "digits", "--latent-size", "3"]) == 1
    assert "--latent-size: expected --model vae" in capsys.readouterr().err
    assert main(["train", "digits", "--model", "gan"]) == 1
    assert "one of linear, mlp, lenet, vae, got 'gan'" in capsys.readouterr().err


def test_other_commands_say_what_the_file_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _answer(capsys, "digits", "--model", "vae", "--epochs", "1")
    for command in (
        ["evaluate", "digits.dr", "digits"],
        ["predict", "digits.dr", "digits"],
        ["summary", "digits.dr"],
    ):
        assert main(command) == 1
        assert (
            "a variational autoencoder, which samples and reconstructs"
            in capsys.readouterr().err
        )
