"""Theory made visible: every demonstration runs, draws its figure, and says the numbers that the theory gives."""

from __future__ import annotations

import re
import runpy
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

FOLDER = Path(__file__).parents[2] / "examples" / "theory"
Run = Callable[[str], str]


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Run a demonstration in an empty folder; return what it prints."""

    def ran(name: str) -> str:
        monkeypatch.chdir(tmp_path)
        runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")
        assert [path.name for path in tmp_path.iterdir()] == [f"{name}.svg"]
        assert ElementTree.parse(tmp_path / f"{name}.svg").getroot().tag.endswith("svg")
        return capsys.readouterr().out

    return ran


def _numbers(text: str, line: str) -> list[float]:
    """Return the numbers of the line that begins so."""
    found = next(one for one in text.splitlines() if one.startswith(line))
    return [
        float(number)
        for number in re.findall(r"-?\d+\.?\d*(?:e[+-]?\d+)?", found[len(line) :])
    ]


@pytest.mark.notes("THY-05", "C-THY-04", "E003-11", "PR-19")
def test_bias_variance(run: Run) -> None:
    said = run("bias_variance")
    assert "noise 1.08 + bias² 1.2614 + variance 0.18 = 2.5214" in said
    assert _numbers(said, "counted on 20,000 data sets:")[0] == pytest.approx(
        2.5214, abs=0.02
    )
    assert _numbers(said, "least expected error: degree") == [2]


@pytest.mark.notes("THY-01", "C-THY-01", "C-THY-02", "C-THY-03")
def test_universal_approximation(run: Run) -> None:
    said = run("universal_approximation")
    assert [
        _numbers(said, f"{n} hinges miss x² by")[0] for n in (4, 8, 16)
    ] == pytest.approx([1 / 64, 1 / 256, 1 / 1024], abs=1e-7)
    squares = _numbers(said, "three sigmoids at 0.5, 1, 2:")
    assert squares == pytest.approx([0.2499993, 0.9999887, 3.9998188], abs=2e-7)
    errors = _numbers(said, "width ")[1::2]
    assert errors[0] > 0.5 and errors[3] < 0.1 and errors[5] < 0.05
    assert _numbers(said, "64 squares miss x³ by")[0] >= 0.25


@pytest.mark.notes("THY-13", "THY-14", "C-THY-06", "C-THY-07", "CM-06")
def test_curse_of_dimensionality(run: Run) -> None:
    said = run("curse_of_dimensionality")
    contrasts = [float(value) for value in re.findall(r"contrast (\S+)", said)]
    assert contrasts == sorted(contrasts, reverse=True)
    assert contrasts[3] == pytest.approx(3.84, rel=0.5) and contrasts[
        -1
    ] == pytest.approx(0.12, rel=0.2)
    assert _numbers(said, "a bar is") == [3.162, 2.0]


@pytest.mark.notes("THY-07", "THY-08", "C-THY-05", "OPT-37", "DIA-07")
def test_zig_zag(run: Run) -> None:
    said = run("zig_zag")
    plain, momentum = _numbers(said, "plain:"), _numbers(said, "momentum:")
    assert plain[0] == plain[1] == 40 and momentum[0] < 20
    assert momentum[2] < plain[2] / 20
    slopes = _numbers(said, "gradient after positive inputs:")
    assert slopes == pytest.approx(
        [0.0384054896, 0.1344192135, 0.0960137240], abs=1e-10
    )


@pytest.mark.notes("THY-06", "THY-21", "E001-24")
def test_saddle_points(run: Run) -> None:
    said = run("saddle_points")
    plain, momentum = _numbers(said, "plain:")[:3], _numbers(said, "momentum:")[:3]
    # |y| grows by 1.05 a step: a hair a hundred times as fine costs ln 100 / ln 1.05 = 94.4 steps
    assert plain[2] - plain[1] == pytest.approx(94.4, abs=1)
    assert all(fast < slow / 3 for fast, slow in zip(momentum, plain, strict=True))
    calm, noisy = _numbers(said, "in the flat valley:")
    assert calm == 0.5 and noisy > 0.9


@pytest.mark.notes("THY-09", "C-THY-08", "DIA-03", "OUT-19")
def test_saturation(run: Run) -> None:
    said = run("saturation")
    squared, entropy = _numbers(said, "at z = −10: squared error")
    assert squared == pytest.approx(-4.54e-5) and entropy == pytest.approx(-0.99995)
    assert _numbers(said, "from the formulas:")[0] < 1e-14
    stuck, moved = _numbers(said, "after 500 steps from z = −8: squared error z =")
    assert stuck == -8.0 and moved > -3.5
    assert "never more than 0.25ⁿ: True" in said


@pytest.mark.notes("THY-22", "C-THY-09", "CM-19")
def test_perceptron_on_xor(run: Run) -> None:
    said = run("perceptron_on_xor")
    assert "AND: converged True" in said and "XOR: converged False" in said
    assert _numbers(said, "ten orders of the examples give")[0] >= 2
    assert said.count("[0, 1, 1, 0]") == 2


@pytest.mark.notes("THY-12", "DIA-05", "DIA-06", "DIA-12", "INI-01")
def test_initialisation(run: Run) -> None:
    said = run("initialisation")
    assert _numbers(said, "equal first weights:")[0] == 1
    assert _numbers(said, "random first weights:")[0] == 8
    # the variance grows by n·std²/2 a layer: nine layers after the first give the root of its ninth power
    shares = [
        _numbers(said, f"{name}: root mean square")[-1]
        for name in ("0.01", "Xavier", "He", "0.25")
    ]
    growth = [256 * std**2 / 2 for std in (0.01, 256**-0.5, (2 / 256) ** 0.5, 0.25)]
    assert shares == pytest.approx([factor**4.5 for factor in growth], rel=0.5)


def test_every_demonstration_is_tested() -> None:
    tested = set(
        re.findall(r'run\("(\w+)"\)', Path(__file__).read_text(encoding="utf-8"))
    )
    assert {path.stem for path in FOLDER.glob("*.py")} == tested
