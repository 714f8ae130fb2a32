"""The pages of docs/learners say what the code does: made anew they are the same, and no learner is without one."""

from __future__ import annotations

import doctest
import re
from xml.etree import ElementTree

import pytest
from learners_figures import FIGURES
from learners_pages import FOLDER, PARTS, derivation, parameters, text
from learners_texts import PAGES
from sklearn.base import BaseEstimator

from deltarule import learners

BESIDES = {
    "RunningStatistics",
    "Snapshots",
}  # no estimators: what a stream is counted with, and a callback
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.file)


def kept(page):
    return (FOLDER / f"{page.file}.md").read_text(encoding="utf-8")


@each_page
def test_page_is_what_the_code_makes_and_its_derivations_are_proved(page):
    assert kept(page) == text(page), "run python tools/learners_pages.py"
    blocks = [part for part in derivation(page) if part.startswith("```text")]
    assert blocks
    assert all(
        re.search(r"^proved: ", block, re.MULTILINE) and "NOT" not in block
        for block in blocks
    )


@each_page
def test_page_has_every_part_with_something_in_it(page):
    title, *rest = re.split(r"^#{1,2} ", kept(page), flags=re.MULTILINE)[1:]
    assert title.split("\n", 1)[0] == page.learner
    assert tuple(part.split("\n", 1)[0] for part in rest) == PARTS
    assert all(part.split("\n", 1)[1].strip() for part in rest)
    assert "**When not.**" in rest[1] and "O(" in rest[2]
    assert f"](figures/{page.file}.svg)" in rest[2]
    rows = [
        re.split(r"(?<!\\)\|", row)[1:-1]
        for row in parameters(page).splitlines()
        if row.startswith("| `")
    ]
    assert all(len(row) == 3 and row[2].strip() for row in rows)
    assert {row[0].strip(" `") for row in rows} >= set(_parameters(page.learner))


def _parameters(name):
    kind = getattr(learners, name)
    return kind._get_param_names() if issubclass(kind, BaseEstimator) else []


@each_page
def test_example_runs_as_it_stands(page):
    shown = re.findall(
        r"^```pycon\n(.*?)^```", kept(page), flags=re.MULTILINE | re.DOTALL
    )
    assert len(shown) == 1
    test = doctest.DocTestParser().get_doctest(shown[0], {}, page.file, None, 0)
    assert any(example.want for example in test.examples)
    complaints = []
    result = doctest.DocTestRunner(verbose=False).run(test, out=complaints.append)
    assert result.failed == 0, "".join(complaints)


@each_page
def test_links_resolve_and_siblings_are_others(page):
    targets = re.findall(r"\]\(([^)#]+)\)", kept(page))
    assert all((FOLDER / target).is_file() for target in targets)
    others = {
        target
        for target in targets
        if target.endswith(".md") and not target.startswith("..")
    }
    assert others and f"{page.file}.md" not in others


@each_page
def test_figure_is_there_small_and_described(page):
    path = FOLDER / "figures" / f"{page.file}.svg"
    root = ElementTree.parse(path).getroot()
    assert root.tag.endswith("svg") and path.stat().st_size < 40_000
    assert {"title", "desc"} <= {element.tag.rpartition("}")[2] for element in root}


def test_every_learner_has_a_page_and_every_page_a_link():
    described = {page.learner for page in PAGES}
    kinds = [
        name for name in learners.__all__ if isinstance(getattr(learners, name), type)
    ]
    fitted = {name for name in kinds if hasattr(getattr(learners, name), "fit")}
    assert described == fitted | BESIDES and len(PAGES) == len(described)
    files = {page.file for page in PAGES}
    index = (FOLDER.parent / "learners.md").read_text(encoding="utf-8")
    assert {
        (name, file)
        for name, file in re.findall(r"\[`(\w+)`\]\(learners/(\w+)\.md\)", index)
    } == {(page.learner, page.file) for page in PAGES}
    assert files == set(FIGURES) == {path.stem for path in FOLDER.glob("*.md")}
    assert files == {path.stem for path in (FOLDER / "figures").glob("*.svg")}


LONG_FITS = {
    "autoencoder_transformer",
    "bagging_classifier",
    "network_search_cv",
    "parametric_umap",
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow) if name in LONG_FITS else name
        for name in sorted(FIGURES)
    ],
)
def test_figures_can_be_drawn_again(name):
    """On every machine a figure keeps its words, and its shapes up to a few: digits of a fit may differ in the last."""
    held, made = (
        [element.tag for element in ElementTree.fromstring(svg).iter()]
        for svg in (
            (FOLDER / "figures" / f"{name}.svg").read_text("utf-8"),
            FIGURES[name](),
        )
    )
    assert set(held) == set(made)
    assert abs(len(held) - len(made)) <= 0.05 * len(held)
