"""What one page of docs/learners is made of; ``[[Ridge]]`` in a text becomes a link to that learner's page."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


class Proved(Protocol):
    """What ``deltarule.explain`` hands out: printed, it carries its proof."""

    def __str__(self) -> str:
        """Write the lines and the proof."""


Derivations = tuple[tuple[str, Callable[[], Proved]], ...]


@dataclass(frozen=True)
class Page:
    """One learner's page; its summary, its parameters and its example come from the docstring.

    ``use`` and ``avoid`` are when to take it and when not; ``figure`` is the caption; ``derivations`` are (what it
    shows, a function that derives it); ``see`` are siblings.
    """

    learner: str
    formula: str
    use: str
    avoid: str
    cost: str
    figure: str
    derivations: Derivations
    see: tuple[str, ...]

    @property
    def file(self) -> str:
        """The name in snake case.

        >>> [Page(name, *[""] * 5, (), ()).file for name in ("KNNClassifier", "NetworkSearchCV", "PCA", "FastICA")]
        ['knn_classifier', 'network_search_cv', 'pca', 'fast_ica']
        """
        return snake(self.learner)


def snake(name: str) -> str:
    """Write the name of a class as that of a file."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def linked(text: str) -> str:
    """Turn every ``[[Name]]`` into a link to its page."""
    return re.sub(
        r"\[\[(\w+)\]\]", lambda found: f"[`{found[1]}`]({snake(found[1])}.md)", text
    )
