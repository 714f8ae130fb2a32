"""The extent of an answer with its definitions written out."""

from __future__ import annotations

from deltarule.errors import ArgumentError
from deltarule.explain.reading.vocabulary import Vocabulary
from deltarule.graph.node import Node
from deltarule.graph.walk import topological

_MOST_OPERATIONS = 20_000


def check_operations(node: Node, vocabulary: Vocabulary) -> None:
    """Refuse an answer that grows beyond all bounds where its definitions are written out: a = x + x, b = a + a, ….

    Raises:
        ArgumentError: there are too many operations on the names of the vocabulary.
    """
    known = frozenset(symbol.node for symbol in vocabulary.names.values())
    sizes: dict[Node, int] = dict.fromkeys(known, 1)
    for part in topological([node], known):
        if part not in sizes:
            sizes[part] = 1 + sum(sizes[source] for source in part.sources)
        if sizes[part] > _MOST_OPERATIONS:
            raise ArgumentError(
                "answer",
                expected=f"at most {_MOST_OPERATIONS} operations with the definitions written out",
                got="more",
            )
