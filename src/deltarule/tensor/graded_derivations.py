"""Grading of whole derivations, line by line; the reference backend evaluates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from deltarule.arguments import check_calls
from deltarule.errors import ArgumentError
from deltarule.explain.derivation.derivation import Layout
from deltarule.explain.grading.lines import grading
from deltarule.explain.grading.lines.result import DerivationGrade
from deltarule.flags import checks_flags
from deltarule.tensor.explain import (
    Prepared,
    node_names,
    original_node,
    value_sampler,
    without_target_checks,
)
from deltarule.tensor.tensor import Tensor

__all__ = ["grade_derivation"]


@checks_flags
def grade_derivation(
    loss: Tensor,
    wrt: Tensor | Sequence[Tensor],
    answer: str,
    *,
    layout: Layout = "denominator",
    language: str = "auto",
    names: Mapping[Tensor, str] | None = None,
    parameters: Sequence[Tensor] | None = None,
    points: float | None = None,
    require_steps: bool = False,
    reveal: bool = False,
    seed: int = 0,
) -> DerivationGrade:
    r"""Grade a whole derivation of gradients line by line, with partial credit.

    Each line is an equation, or a chain of equalities in which each link is judged. A line is "correct"; "wrong", with
    the mistake; "follows": right, given an error in an earlier line; "redundant"; or "not read", such as words. Names
    are those of ``derive`` (z₁, a₁, ŷ, δ₂, ∂L/∂W₁), and those that the answer defines: "let e = ŷ − y". A name of the
    network that the answer uses for another quantity throughout is recognised by its value.

    The points are shared by the quantities that lead to the gradients: each δ and the gradients themselves. A step
    that is skipped loses nothing if a later line is right. One error loses one share: lines that are right given an
    earlier error earn theirs. A wrong line that states no such quantity loses a share too.

    Args:
        loss: A scalar tensor.
        wrt: The variable or variables whose gradients are derived.
        answer: The lines as Unicode or ASCII mathematics, LaTeX (also whole environments such as ``align``) or Python
            assignments; numbering, comments and words are ignored.
        layout: The layout that the answer is expected in.
        language: "auto", "latex", "mathematics" or "python".
        names: Names of intermediate tensors that the answer may use.
        parameters: All parameters of the network; they determine which intermediate quantities have names.
        points: The points of a whole derivation; by default one for each quantity.
        require_steps: Whether steps that the answer skips lose their points.
        reveal: Whether messages may show lines of the solution.
        seed: Seed of the random points at which lines are compared.

    Returns:
        The points, and the verdict on each line; printed, a marked sheet.

    Raises:
        ArgumentError: no line of the answer can be parsed, or the answer is longer than 300 lines.

    >>> from deltarule import symbol, tanh
    >>> W, v, x, y = symbol("W", (2, 3)), symbol("v", (2,)), symbol("x", (3,)), symbol("y", ())
    >>> loss = 0.5 * (v @ tanh(W @ x) - y) ** 2
    >>> print(grade_derivation(loss, W, "let e = ŷ − y\nδ₁ = e v\n∂L/∂W = δ₁ xᵀ"))
    1 ✓  let e = ŷ − y                                                             1
         This is ∂L/∂ŷ.
    2 ✗  δ₁ = e v                                                                  0
         The factor 1 − a₁² is missing: you stepped over the activation.
    3 ~  ∂L/∂W = δ₁ xᵀ                                                             1
         Right, given line 2.
    2 of 3 points. The first wrong line is line 2.
    """
    if not isinstance(answer, str):
        raise ArgumentError(
            "derivation", expected="lines as text", got=type(answer).__name__
        )
    whole = isinstance(points, (int, float)) and not isinstance(points, bool)
    if points is not None and not (whole and points > 0):
        raise ArgumentError("points", expected="a number > 0", got=repr(points))
    variables = [wrt] if isinstance(wrt, Tensor) else list(wrt)
    if not variables:
        raise ArgumentError("wrt", expected="at least one variable", got="none")
    node, labels = without_target_checks(loss.node, node_names(names))
    return grading.grade_derivation(
        node,
        [original_node(variable) for variable in variables],
        answer,
        Prepared(),
        value_sampler(seed),
        names=labels,
        parameters=(
            None if parameters is None else [original_node(p) for p in parameters]
        ),
        layout=layout,
        language=language,
        total=points,
        require_steps=require_steps,
        reveal=reveal,
    )


check_calls(__name__)
