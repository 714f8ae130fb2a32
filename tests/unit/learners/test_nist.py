"""NIST's reference data for linear regression: digits of every coefficient, in one fit and in chunks of any size.

The certified values (itl.nist.gov/div898/strd) are themselves proved here: the least squares of the decimals as they
are printed are solved in fractions, and agree with them to the last digit but one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

from deltarule.learners import LinearRegression, Ridge

NORRIS = """0.1 0.2 338.8 337.4 118.1 118.2 888.0 884.6 9.2 10.1 228.1 226.5 668.5 666.3 998.5 996.3 449.1 448.6
778.9 777.0 559.2 558.2 0.3 0.4 0.1 0.6 778.1 775.5 668.8 666.9 339.3 338.0 448.9 447.5 10.8 11.6 557.7 556.0
228.3 228.1 998.0 995.8 888.8 887.6 119.6 120.2 0.3 0.3 0.6 0.3 557.6 556.8 339.3 339.1 888.0 887.2 998.5 999.0
778.9 779.0 10.2 11.1 117.6 118.3 228.9 229.2 668.4 669.1 449.2 448.9 0.2 0.5"""  # y x
PONTIUS = """0.11019 0.21956 0.32949 0.43899 0.54803 0.65694 0.76562 0.87487 0.98292 1.09146 1.20001 1.30822 1.41599
1.52399 1.63194 1.73947 1.84646 1.95392 2.06128 2.16844 0.11052 0.22018 0.32939 0.43886 0.54798 0.65739 0.76596 0.87474
0.98300 1.09150 1.20004 1.30818 1.41613 1.52408 1.63159 1.73965 1.84696 1.95445 2.06177 2.16829"""
FILIP = """0.8116 -6.860120914 0.9072 -4.324130045 0.9052 -4.358625055 0.9039 -4.358426747 0.8053 -6.955852379 0.8377
-6.661145254 0.8667 -6.355462942 0.8809 -6.118102026 0.7975 -7.115148017 0.8162 -6.815308569 0.8515 -6.519993057 0.8766
-6.204119983 0.8885 -5.853871964 0.8859 -6.109523091 0.8959 -5.79832982 0.8913 -5.482672118 0.8959 -5.171791386 0.8971
-4.851705903 0.9021 -4.517126416 0.909 -4.143573228 0.9139 -3.709075441 0.9199 -3.499489089 0.8692 -6.300769497 0.8872
-5.953504836 0.89 -5.642065153 0.891 -5.031376979 0.8977 -4.680685696 0.9035 -4.329846955 0.9078 -3.928486195 0.7675
-8.56735134 0.7705 -8.363211311 0.7713 -8.107682739 0.7736 -7.823908741 0.7775 -7.522878745 0.7841 -7.218819279 0.7971
-6.920818754 0.8329 -6.628932138 0.8641 -6.323946875 0.8804 -5.991399828 0.7668 -8.781464495 0.7633 -8.663140179 0.7678
-8.473531488 0.7697 -8.247337057 0.77 -7.971428747 0.7749 -7.676129393 0.7796 -7.352812702 0.7897 -7.072065318 0.8131
-6.774174009 0.8498 -6.478861916 0.8741 -6.159517513 0.8061 -6.835647144 0.846 -6.53165267 0.8751 -6.224098421 0.8856
-5.910094889 0.8919 -5.598599459 0.8934 -5.290645224 0.894 -4.974284616 0.8957 -4.64454848 0.9047 -4.290560426 0.9129
-3.885055584 0.9209 -3.408378962 0.9219 -3.13200249 0.7739 -8.726767166 0.7681 -8.66695597 0.7665 -8.511026475 0.7703
-8.165388579 0.7702 -7.886056648 0.7761 -7.588043762 0.7809 -7.283412422 0.7961 -6.995678626 0.8253 -6.691862621 0.8602
-6.392544977 0.8809 -6.067374056 0.8301 -6.684029655 0.8664 -6.378719832 0.8834 -6.065855188 0.8898 -5.752272167 0.8964
-5.132414673 0.8963 -4.811352704 0.9074 -4.098269308 0.9119 -3.66174277 0.9228 -3.2644011"""  # y x
LONGLEY = """60323 83.0 234289 2356 1590 107608 1947 61122 88.5 259426 2325 1456 108632 1948
60171 88.2 258054 3682 1616 109773 1949 61187 89.5 284599 3351 1650 110929 1950
63221 96.2 328975 2099 3099 112075 1951 63639 98.1 346999 1932 3594 113270 1952
64989 99.0 365385 1870 3547 115094 1953 63761 100.0 363112 3578 3350 116219 1954
66019 101.2 397469 2904 3048 117388 1955 67857 104.6 419180 2822 2857 118734 1956
68169 108.4 442769 2936 2798 120445 1957 66513 110.8 444546 4681 2637 121950 1958
68655 112.6 482704 3813 2552 123366 1959 69564 114.2 502601 3931 2514 125368 1960
69331 115.7 518173 4806 2572 127852 1961 70551 116.9 554894 4007 2827 130081 1962"""
ERRORS = [759, -2048, 2048, -2048, 2523, -2048, 2048, -2048, 1838, -2048, 2048]
ERRORS += ERRORS[9::-1]  # of Wampler's y, the same from behind

Exact = Sequence[Fraction]


@dataclass(frozen=True)
class Reference:
    """Rows x and y as they are printed, the certified coefficients (intercept first), and digits that are asked for."""

    name: str
    x: Sequence[Exact]
    y: Exact
    certified: Sequence[float]
    digits: int = 9
    intercept: bool = True


def _numbers(text: str) -> list[Fraction]:
    return [Fraction(word) for word in text.split()]


def _powers(x: Exact, degree: int) -> list[Exact]:
    return [[value**power for power in range(1, degree + 1)] for value in x]


def _wampler(name: str, share: Fraction, noise: int) -> Reference:
    x = [Fraction(i) for i in range(21)]
    y = [
        sum((value * share) ** i for i in range(6)) + noise * Fraction(e)
        for value, e in zip(x, ERRORS, strict=True)
    ]
    return Reference(name, _powers(x, 5), y, [float(share**i) for i in range(6)])


def _references() -> list[Reference]:
    norris, filip, longley = _numbers(NORRIS), _numbers(FILIP), _numbers(LONGLEY)
    weights = [Fraction(150_000 * (1 + i % 20)) for i in range(40)]
    return [
        Reference(
            "Norris",
            _powers(norris[1::2], 1),
            norris[::2],
            [-0.262323073774029, 1.00211681802045],
        ),
        Reference(
            "Pontius",
            _powers(weights, 2),
            _numbers(PONTIUS),
            [0.673565789473684e-03, 0.732059160401003e-06, -0.316081871345029e-14],
        ),
        Reference(
            "NoInt1",
            [[Fraction(i)] for i in range(60, 71)],
            [Fraction(i) for i in range(130, 141)],
            [2.07438016528926],
            intercept=False,
        ),
        Reference(
            "NoInt2",
            [[Fraction(i)] for i in (4, 5, 6)],
            [Fraction(i) for i in (3, 4, 4)],
            [0.727272727272727],
            intercept=False,
        ),
        Reference(
            "Filip",
            _powers(filip[1::2], 10),
            filip[::2],
            [
                -1467.48961422980,
                -2772.17959193342,
                -2316.37108160893,
                -1127.97394098372,
                -354.478233703349,
                -75.1242017393757,
                -10.8753180355343,
                -1.06221498588947,
                -0.670191154593408e-01,
                -0.246781078275479e-02,
                -0.402962525080404e-04,
            ],
            digits=7,
        ),
        Reference(
            "Longley",
            [longley[i + 1 : i + 7] for i in range(0, 112, 7)],
            longley[::7],
            [
                -3482258.63459582,
                15.0618722713733,
                -0.358191792925910e-01,
                -2.02022980381683,
                -1.03322686717359,
                -0.511041056535807e-01,
                1829.15146461355,
            ],
        ),
        _wampler("Wampler1", Fraction(1), 0),
        _wampler("Wampler2", Fraction(1, 10), 0),
        _wampler("Wampler3", Fraction(1), 1),
        _wampler("Wampler4", Fraction(1), 100),
        _wampler("Wampler5", Fraction(1), 10_000),
    ]


def exact(one: Reference, alpha: Fraction = Fraction(0)) -> list[Fraction]:
    """Solve the normal equations of the decimals, with α on all but the intercept, by elimination in fractions."""
    rows = [[Fraction(1), *row] if one.intercept else list(row) for row in one.x]
    size = len(rows[0])
    matrix = [
        [sum((row[i] * row[j] for row in rows), Fraction(0)) for j in range(size)]
        + [sum((row[i] * y for row, y in zip(rows, one.y, strict=True)), Fraction(0))]
        for i in range(size)
    ]
    for i in range(int(one.intercept), size):
        matrix[i][i] += alpha
    for i in range(size):
        pivot = next(k for k in range(i, size) if matrix[k][i])
        matrix[i], matrix[pivot] = matrix[pivot], matrix[i]
        matrix[i] = [value / matrix[i][i] for value in matrix[i]]
        for k in range(size):
            if k != i and matrix[k][i]:
                share = matrix[k][i]
                matrix[k] = [
                    a - share * b for a, b in zip(matrix[k], matrix[i], strict=True)
                ]
    return [row[-1] for row in matrix]


REFERENCES = _references()
each = pytest.mark.parametrize("one", REFERENCES, ids=lambda one: one.name)


def digits(found: Sequence[float], wanted: Sequence[Any]) -> float:
    """Return the correct digits of the worst coefficient, 15 at most."""
    errors = [
        abs(float((Fraction(a) - Fraction(b)) / Fraction(b)))
        for a, b in zip(found, wanted, strict=True)
    ]
    return min(15.0, -float(np.log10(max(max(errors), 1e-16))))


def fitted(learner: Any, one: Reference, rows: int | None) -> list[float]:
    """Return the coefficients of a fit, or of chunks of so many rows."""
    x, y = np.array(one.x, np.float64), np.array(one.y, np.float64)
    learner = clone(learner).set_params(fit_intercept=one.intercept)
    if rows is None:
        learner.fit(x, y)
    else:
        for start in range(0, len(x), rows):
            learner.partial_fit(x[start : start + rows], y[start : start + rows])
    return [*([learner.intercept_] if one.intercept else []), *learner.coef_.tolist()]


@each
def test_certified_values_are_the_exact_solutions(one: Reference) -> None:
    assert digits(one.certified, exact(one)) > 13.5


@each
@pytest.mark.parametrize("rows", [None, 1, 2, 7, 13, 50])
@pytest.mark.parametrize(
    "learner", [LinearRegression(), LinearRegression(solver="svd")], ids=["auto", "svd"]
)
def test_least_squares_has_the_digits(
    learner: Any, one: Reference, rows: int | None
) -> None:
    assert digits(fitted(learner, one, rows), one.certified) >= one.digits


@each
@pytest.mark.parametrize("rows", [None, 1, 5, 50])
@pytest.mark.parametrize("alpha", [Fraction(1, 1024), Fraction(1), Fraction(4096)])
def test_ridge_has_the_digits(
    one: Reference, rows: int | None, alpha: Fraction
) -> None:
    """With features in units in which the penalty neither vanishes nor is all there is."""
    units = [
        2 ** -int(np.log2(float(max(abs(row[j]) for row in one.x))))
        for j in range(len(one.x[0]))
    ]
    scaled = Reference(
        one.name,
        [[v * Fraction(u) for v, u in zip(row, units, strict=True)] for row in one.x],
        one.y,
        [],
        one.digits,
        one.intercept,
    )
    assert (
        digits(fitted(Ridge(alpha=float(alpha)), scaled, rows), exact(scaled, alpha))
        >= 9
    )


@each
@pytest.mark.parametrize(
    "move",
    [lambda x: x[::-1], lambda x: np.ldexp(x, 40), lambda x: np.ldexp(x, 800)],
    ids=["reversed", "larger", "beyond squares"],
)
def test_digits_depend_on_neither_order_nor_unit(
    one: Reference, move: Callable[[Any], Any]
) -> None:
    x, y = np.array(one.x, np.float64), np.array(one.y, np.float64)
    moved = move(x)
    turned = not np.array_equal(moved.shape, x.shape) or moved.base is x
    for parts in (1, 3):
        learner = LinearRegression(fit_intercept=one.intercept)
        for part in np.array_split(np.arange(len(x)), parts):
            y_part = (y[::-1] if turned else y)[part]
            learner = (
                learner.fit(moved, y[::-1] if turned else y)
                if parts == 1
                else learner.partial_fit(moved[part], y_part)
            )
        found = learner.coef_ if turned else learner.coef_ * (moved[-1] / x[-1])
        wanted = one.certified[int(one.intercept) :]
        assert digits(found.tolist(), wanted) >= one.digits
