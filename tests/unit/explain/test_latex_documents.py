"""LaTeX documents of exams and derivations, set by pdfTeX."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

import deltarule as dr
from deltarule import nn
from deltarule.optim.exam import TOPICS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex"),
]
OVERFULL = re.compile(r"^Overfull \\[hv]box \((\d+(?:\.\d+)?)pt too \w+\)", re.M)


def compiled(text, folder):
    """Set a document and return its log; an error of TeX fails."""
    (folder / "document.tex").write_text(text, encoding="utf-8")
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "document.tex"],
        cwd=folder,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=120,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    return (folder / "document.log").read_text(encoding="utf-8", errors="replace")


def pages(log):
    return int(re.search(r"\((\d+) pages?,", log.replace("\n", ""))[1])


def assert_fits(log):
    """No box is more than 20 points too wide or high, and no letter is missing from its font."""
    assert all(float(size) <= 20 for size in OVERFULL.findall(log)), log
    assert "Missing character" not in log


@pytest.mark.parametrize("answers", [False, True])
@pytest.mark.parametrize("topic", TOPICS)
def test_sheets_and_keys_are_set_without_errors(topic, answers, tmp_path):
    exam = dr.exam(topic, seed=7, variants=3)
    text = exam.latex(answers=answers, hints=True, standalone=True)
    log = compiled(text, tmp_path)
    assert_fits(log)
    assert pages(log) >= 3  # each variant begins a page


def test_a_derivation_is_set_without_errors(tmp_path):
    W = dr.symbol("W_1", (3, 4))
    v, x, y = dr.symbol("v", (3,)), dr.symbol("x", (4,)), dr.symbol("y", ())
    loss = 0.5 * (v @ nn.relu(W @ x) - y) ** 2
    log = compiled(dr.derive(loss, wrt=[W, v]).latex(standalone=True), tmp_path)
    assert_fits(log)
    assert pages(log) == 1
