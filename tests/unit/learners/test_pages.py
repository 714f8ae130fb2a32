"""The pages of docs/learners say what the code does: made anew they are the same, and none is missing."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from learners_figures import FIGURES
from learners_pages import FOLDER, text
from learners_texts import PAGES
from sklearn.base import BaseEstimator

from deltarule import learners


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.file)
def test_page_is_what_the_code_makes(page):
    assert (FOLDER / f"{page.file}.md").read_text(encoding="utf-8") == text(page), "run python tools/learners_pages.py"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.file)
def test_figure_is_there_and_small(page):
    path = FOLDER / "figures" / f"{page.file}.svg"
    assert ElementTree.parse(path).getroot().tag.endswith("svg")
    assert path.stat().st_size < 50_000


def test_every_estimator_has_a_page_and_every_page_a_link():
    described = [name for page in PAGES for name in page.learners]
    estimators = {name for name in learners.__all__
                  if isinstance(kind := getattr(learners, name), type) and issubclass(kind, BaseEstimator)}  # fmt: skip
    assert sorted(described) == sorted(estimators)
    index = (FOLDER.parent / "learners.md").read_text(encoding="utf-8")
    assert set(re.findall(r"learners/(\w+)\.md", index)) == {page.file for page in PAGES} == set(FIGURES)
    assert all(f"`{name}`" in index for name in described)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["least_squares", "delta_rule", "margin", "generative", "neighbors", "components"])
def test_figures_can_be_drawn_again(name):
    """Figures of closed forms keep their words and their number of lines on every machine."""
    kept, made = (ElementTree.fromstring(svg) for svg in ((FOLDER / "figures" / f"{name}.svg").read_text("utf-8"),
                                                          FIGURES[name]()))  # fmt: skip
    assert [element.tag for element in kept.iter()] == [element.tag for element in made.iter()]
