"""Answers in the spellings of the field: right ones are read as equal to the gradient, wrong ones are not."""

from __future__ import annotations

import numpy as np
import pytest

import deltarule as dr
from deltarule.errors import ArgumentError, ShapeError
from deltarule.explain.derivation.derivation import Deriver
from deltarule.explain.formula.term import matrix_shape
from deltarule.explain.proof.proof import Precise
from deltarule.explain.reading.python.answer import is_python, read_python
from deltarule.explain.reading.reader import read
from deltarule.explain.reading.vocabulary import vocabulary
from deltarule.graph import build
from deltarule.tensor.explain import (
    grade,
    run,
    value_sampler,
    without_target_checks,
)
from unit.explain import spellings, spellings_of_code

PROBLEMS = spellings.PROBLEMS | {
    f"{name}, further": problem for name, problem in spellings_of_code.PROBLEMS.items()
}


class Graded:
    """Readings of many answers to one problem, evaluated together at random points."""

    def __init__(self, problem):
        loss, variables = problem.make()
        self.loss, _ = without_target_checks(loss.node, {})
        nodes = [variable.node for variable in variables.values()]
        derivations = [
            Deriver(self.loss, nodes, {}, "denominator", detail).derive()
            for detail in ("every", "steps")
        ]
        self.vocabulary = vocabulary(*derivations)
        self.wanted = wanted = variables[problem.variable].node
        value = next(
            line.value for line in derivations[1].backward if line.node is wanted
        )
        self.truth = build.reshape(value, matrix_shape(value.shape))

    def read(self, text):
        if is_python(text):
            kind = self.truth.dtype
            return read_python(text, self.vocabulary, kind, self.wanted.shape).node
        return read(text, self.vocabulary, self.truth.dtype, self.truth.shape).node

    def equal(self, nodes):
        """Return whether each node has the values of the gradient."""
        fitting = [node for node in nodes if self.fits(node)]
        precise = Precise(
            [self.loss, self.truth, *fitting], run, value_sampler(0), self.loss
        )
        same = dict.fromkeys(fitting, True)
        for _ in range(4):
            twins = [precise[self.truth], *(precise[node] for node in fitting)]
            truth, *values = precise.values(twins, precise.draw())
            for node, value in zip(fitting, values, strict=True):
                value = np.reshape(value, truth.shape)
                same[node] &= bool(np.allclose(value, truth, rtol=1e-9, atol=1e-12))
        return [same.get(node, False) for node in nodes]

    def fits(self, node):
        numbers = all(size == 1 for size in (*node.shape, *self.truth.shape))
        return node.shape == self.truth.shape or numbers


@pytest.mark.parametrize("name", PROBLEMS)
def test_right_answers_are_read_as_equal(name):
    graded = Graded(PROBLEMS[name])
    answers = PROBLEMS[name].right
    verdicts = graded.equal([graded.read(text) for text in answers])
    assert all(verdicts), [
        t for t, right in zip(answers, verdicts, strict=True) if not right
    ]


@pytest.mark.parametrize("name", PROBLEMS)
def test_wrong_answers_are_not_read_as_equal(name):
    graded = Graded(PROBLEMS[name])
    nodes = {}
    for text in PROBLEMS[name].wrong:
        try:
            nodes[text] = graded.read(text)
        except ShapeError:  # sizes that do not fit are a verdict
            continue
    verdicts = graded.equal(list(nodes.values()))
    assert not any(verdicts), [
        t for t, right in zip(nodes, verdicts, strict=True) if right
    ]


def test_the_table_is_large():
    assert len(PROBLEMS) >= 45
    assert sum(len(problem.right) for problem in PROBLEMS.values()) >= 1100
    assert sum(len(problem.wrong) for problem in PROBLEMS.values()) >= 290
    assert all(problem.wrong for problem in PROBLEMS.values())


# ---------------------------------------------------------------- the answer as it was read


def two_layers():
    x, y = dr.symbol("x", (3,)), dr.symbol("y", (2,))
    W1, W2 = dr.symbol("W_1", (4, 3)), dr.symbol("W_2", (2, 4))
    error = W2 @ dr.tanh(W1 @ x) - y
    return 0.5 * (error @ error), W1


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (r"\delta_1x^T", "δ₁xᵀ"),
        ("delta1 x'", "δ₁xᵀ"),
        (
            r"(W_2^T(\hat y-y)\odot(1-\tanh^2 z_1))x^T",
            "(W₂ᵀ(ŷ − y) ⊙ (1 − tanh²(z₁)))xᵀ",
        ),
        ("d x^T where d = δ₁", "d xᵀ; d = δ₁"),
        (
            "np.outer(W_2.T @ (y_hat - y) * (1 - a_1**2), x)",
            "(W₂ᵀ (ŷ − y) ⊙ (1 − a₁²)) xᵀ",
        ),
        ("(δ₁)ᵢ xⱼ", "(δ₁)ᵢxⱼ"),
        ("W_1^{-1}", None),
        ("δ₁ * x", None),
    ],
)
def test_understood_shows_the_reading(answer, text):
    loss, W1 = two_layers()
    found = grade(loss, W1, answer)
    if text is None:
        assert found.mistake == "shape" and not found.correct
    else:
        assert str(found.understood) == text
        assert found.understood.mathml().startswith("<math")
        assert found.understood.latex()


def test_understood_tells_matrix_powers_from_powers_of_entries():
    A = dr.symbol("A", (3, 3))
    loss = (A @ A @ A).trace() / 3
    inverse = grade(loss, A, "A^{-1}").understood
    entries = grade(loss, A, "A^{∘-1}").understood
    assert (str(inverse), str(entries)) == ("A⁻¹", "A^(∘−1)")
    B = dr.symbol("B", (2, 3))
    found = grade((B * B * B).sum() / 3, B, "B^2")
    assert found.correct and str(found.understood) == "B^(∘2)"


def test_a_reading_is_read_again_as_the_same():
    """What is shown as understood is itself an answer with the same verdict."""
    for problem in PROBLEMS.values():
        graded = Graded(problem)
        texts = [t for t in problem.right if not is_python(t) and "=" not in t]
        readings = [
            read(t, graded.vocabulary, graded.truth.dtype, graded.truth.shape).formula
            for t in texts
        ]
        from deltarule.render.mathematics import to_latex, to_text

        for write in (to_text, to_latex):
            again = [graded.read(write(formula)) for formula in readings]
            verdicts = graded.equal(again)
            assert all(verdicts), [
                t for t, r in zip(texts, verdicts, strict=True) if not r
            ]


def test_latex_names_are_names_everywhere():
    x, w = dr.symbol(r"\hat x", (3,)), dr.symbol(r"\mathbf{w}", (3,))
    z = w @ x
    derivation = dr.derive(z**2, wrt=[w], names={z: r"\bar z_1"})
    assert derivation.gradient("w") in {"2z̄₁x̂", "2(wᵀx̂)x̂"}
    assert grade(z**2, w, r"2\bar z_1\hat x", names={z: r"\bar z_1"})
    assert grade(z**2, w, r"2(\mathbf w^\top\hat{x})\hat x")


# ---------------------------------------------------------------- hostile and hopeless input


@pytest.mark.parametrize(
    "answer",
    [
        "x" * 3999,
        "-" * 3000 + "q",
        "(" * 49 + "q" + ")" * 49,
        "√" * 3000 + "x",
        "x^" * 1500 + "x",
        "log " * 900 + "x",
        "Σ" * 2000 + "x",
        r"\frac" * 700,
        r"\hat" * 900 + "x",
        "x_" * 1900,
        "x/" * 1900 + "x",
        "x.T/" * 900 + "x",
        "'" * 3000,
        "|" * 3000,
        "x[::0]",
        "x[:0.001]",
        "x[y_hat]",
        "x[oops]",
        "X[:, bar:baz]",
        "x.sum(axis=whatever)",
        "x.sum(axis=0**2.5)",
        "x[0:10**9:-0]",
        "x.__class__",
        "x.T.__init__.__globals__",
        "().__class__.__mro__",
        "__import__('os').getcwd() @ x",
        "np.ones((10**5, 10**5)) @ x",
        "np.ones(10**9)",
        "np.eye(10**6) @ x",
        "np.outer(np.outer(np.outer(np.ones(900), x), np.ones(900)), np.ones(900))",
        "x ** 9**9**9",
        "9**9**9 * x.T",
        "np.einsum('i,j,k,l,m,n,o,p,q->ijklmnopq', x,x,x,x,x,x,x,x,x)",
        "[x for x in x][0]",
        "(lambda: x)()[0]",
        "x.T if x else x.T",
        "open('a').read().T",
        "-" * 3000 + "x.T[oops]",
        "x.T" + ".T" * 900,
        "a = x\nfor i in range(900):\n    a = np.outer(a, a)[0]\na",
        "".join(f"a_{i + 1} = a_{i} + a_{i}; " for i in range(50)) + "a_50 x^T",
        "[x[i] for i in range(1000) for j in range(1000)]",
        "for i in range(1000):\n    for j in range(1000):\n        a = x\na",
        "def f(a):\n    return f(a)\nf(x)",
        "while True:\n    pass",
        "range(10**9)",
        "import os\nos.system('ls')",
        "x.__class__.append(1)",
        "a=x;" * 3900 + "x",
    ],
)
def test_hostile_answers_are_one_clear_error(answer):
    loss, W1 = two_layers()
    try:
        result = grade(loss, W1, answer)
    except (ArgumentError, ShapeError) as error:
        message = str(error)
    else:
        message = result.message
        assert not result.correct and result.mistake == "shape", result
    assert len(message) < 1500


@pytest.mark.parametrize(
    "answer", ["-" * 3000 + "δ₁xᵀ", "δ₁xᵀ" + " + 0 δ₁xᵀ" * 300, "1 " * 1000 + "δ₁xᵀ"]
)
def test_long_answers_are_graded(answer):
    loss, W1 = two_layers()
    assert grade(loss, W1, answer).correct


def test_a_wrong_program_that_fills_an_array_is_graded():
    loss, W1 = two_layers()
    program = (
        "dW1 = np.zeros((4, 3))\n"
        "for i in range(4):\n"
        "    for j in range(3):\n"
        "        dW1[i, j] = delta_1[i] * x[{}]\n"
        "return dW1"
    )
    assert grade(loss, W1, program.format("j")).correct
    assert not grade(loss, W1, program.format("2 - j")).correct
