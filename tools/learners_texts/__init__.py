"""What the pages of docs/learners say, by family: formula, use, cost, and the loss whose derivation is shown."""

from learners_texts import (
    bayes,
    components,
    ensembles,
    least_squares,
    linear_classifiers,
    neighbors,
    networks,
)
from learners_texts.page import Page

PAGES: tuple[Page, ...] = (
    *least_squares.PAGES,
    *linear_classifiers.PAGES,
    *bayes.PAGES,
    *neighbors.PAGES,
    *components.PAGES,
    *networks.PAGES,
    *ensembles.PAGES,
)

__all__ = ["PAGES", "Page"]
