"""Verdicts on mutants of right answers, compared with those of a judge that evaluates them with NumPy."""

from __future__ import annotations

import collections
import functools
import warnings

import pytest

from deltarule.errors import ArgumentError
from deltarule.tensor.explain import grade
from support.answers.judge import is_right
from support.answers.mutants import KINDS, Mutant, mutants
from support.answers.networks import NETWORKS

FEW, MANY = 500, 16_000


@functools.cache
def _problem(name):
    loss, symbols = NETWORKS[name].loss()
    return loss, symbols, [symbols[p] for p in NETWORKS[name].parameters]


def verdict(mutant: Mutant) -> bool | None:
    """Return whether an answer is graded right; None if it cannot be parsed."""
    loss, symbols, parameters = _problem(mutant.network)
    try:
        found = grade(
            loss, symbols[mutant.variable], mutant.text, parameters=parameters
        )
    except ArgumentError:
        return None
    return found.correct


def judged(mutant: Mutant) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # of nonsense such as 2[0]
        return is_right(mutant)


def disagreements(seed: int, count: int) -> list[str]:
    """Return the mutants that are graded otherwise than judged, or that are right and cannot be parsed."""
    found = []
    for mutant in mutants(seed, count):
        right, graded = judged(mutant), verdict(mutant)
        if graded != right and (right or graded):
            where = f"{mutant.network}, {mutant.variable}, {mutant.kind}"
            found.append(f"{where}: {mutant.text} is right: {right}, graded: {graded}")
    return found


def test_verdicts_on_mutants_agree_with_the_judge():
    assert not disagreements(0, FEW)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 9))
def test_verdicts_on_many_mutants_agree_with_the_judge(seed):
    assert not disagreements(seed, MANY // 8)


@pytest.mark.parametrize("name", NETWORKS)
def test_unchanged_answers_are_judged_and_graded_right(name):
    network = NETWORKS[name]
    answers = [
        Mutant(name, variable, str(origin), "none", str(origin), formula)
        for table in (network.formulas, network.python)
        for variable, origins in table.items()
        for origin in origins
        for formula in (None if isinstance(origin, str) else origin,)
    ]
    assert answers
    for answer in answers:
        assert judged(answer), answer.text
        assert verdict(answer) is True, answer.text


def test_mutants_are_of_every_kind():
    found = collections.Counter(mutant.kind for mutant in mutants(0, 1000))
    assert set(found) == set(KINDS)
    assert min(found.values()) >= 20
    assert mutants(3, 20) == mutants(3, 20)
