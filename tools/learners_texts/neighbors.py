"""Pages of nearest neighbours."""

from __future__ import annotations

import deltarule as dr
from deltarule.explain.explanation import Derivation
from deltarule.explain.results.identities import Identity
from deltarule.graph import build
from deltarule.graph.node import Node
from learners_texts.derivations import real, result
from learners_texts.page import Page

_SEARCH = (
    "‖q − x‖² = ‖q‖² − 2qᵀx + ‖x‖² in blocks of matrix products in float32; what may be among the k nearest within "
    "rounding is measured again as Σ(q − x)² in float64, so that the search is exact. Of equal distances the earlier "
    "one is nearer"
)
_COST = (
    "`fit` stores the data, memory O(N·d). A query O(N·d) in matrix products, in blocks of bounded memory; other "
    "metrics and functions are slower. Sparse X stays sparse."
)


def distances() -> Identity:
    """Prove what the search computes instead of differences."""
    q, x, r = real("q", 4), real("x", 4), real("r", 4)
    names = {"q": q, "x": x, "r": r, "D": _square(q, x), "E": _square(q, r)}
    return result(
        "q a query, x and r two examples, D = ‖q − x‖², E = ‖q − r‖²",
        names,
        ("D", "=", "qᵀq − 2 qᵀx + xᵀx", "the square of a difference"),
        (
            "D − E",
            "=",
            "xᵀx − rᵀr − 2 qᵀ(x − r)",
            "qᵀq cancels: who is nearer takes no more than products",
        ),
    )


def _square(a: Node, b: Node) -> Node:
    gap = build.subtract(a, b)
    return build.sum_over(build.multiply(gap, gap))


def mean() -> Derivation:
    """Derive the squared error of one number for all neighbours."""
    w, y, c = dr.symbol("w", (5,)), dr.symbol("y", (5,)), dr.symbol("c", ())
    gap = y - c
    return dr.derive(0.5 * (w * gap * gap).sum(), wrt=[c])


PAGES: tuple[Page, ...] = (
    Page(
        "KNNClassifier",
        'ŷ = the vote of the k nearest training examples; `weights="distance"` counts 1/distance.\n\n'
        + _SEARCH
        + "; of equal votes the first class wins.",
        "A boundary of any form, few features of like scale, a strong first answer that needs no training.",
        "With many features all distances grow alike: reduce them first ([[PCA]]), or take [[MLPClassifier]]. Many "
        "queries on large data: a model that forgets the examples, such as [[SoftmaxRegression]], answers in O(d·K).",
        _COST
        + " `python benchmarks/classical.py` prints the ratio to scikit-learn's brute force: on 60 000 × 784 by "
        "2 000 queries 1.4 to 2.0 times its speed on two shared cores, on 20 000 to 100 000 × 10 to 200 in float64 1.1 "
        "to 2.3 times with one thread. In three dimensions or fewer scikit-learn's trees are faster.",
        "Two half moons of 60 points: the boundary of one neighbour follows every point (thin), that of 15 the shape.",
        (
            (
                "`fit` only stores: there is no loss, and nothing to differentiate. What the search rests on",
                distances,
            ),
        ),
        ("KNNRegressor", "GaussianNaiveBayes", "MLPClassifier"),
    ),
    Page(
        "KNNRegressor",
        "ŷ = Σ wᵢyᵢ/Σ wᵢ over the k nearest training examples, wᵢ = 1 or 1/distance.\n\n"
        + _SEARCH
        + ".",
        "A curve of any form in few dimensions, with examples close enough together; several targets at once.",
        "Beyond the data it stays flat: [[LinearRegression]] or [[MLPRegressor]] go on. Noise and few examples: "
        "average several, [[BaggingRegressor]]. Many features: [[PCA]] first.",
        _COST,
        "A sine with noise, 60 points: one neighbour learns the noise by heart, nine keep the curve.",
        (
            (
                "The constant with the smallest weighted error: zero at c = Σwy/Σw, the mean that is predicted",
                mean,
            ),
        ),
        ("KNNClassifier", "LinearRegression", "BaggingRegressor"),
    ),
)
