"""Linear learners beside scikit-learn in one run, one thread each: ``python benchmarks/linear.py``.

CPU seconds (``time.process_time``), ours and the peer's in turn, best of ``--rounds``; only ratios mean something.
``--samples 100000`` and ``--features 30`` for other sizes. The largest derivative at which both classifiers end is
given too: their rules are not the same.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections.abc import Callable
from typing import Any

os.environ.setdefault("DELTARULE_THREADS", "1")

import numpy as np  # after the number of threads is set
from sklearn import linear_model
from threadpoolctl import threadpool_limits

from deltarule import learners


def best_of(
    works: dict[str, Callable[[], Any]], rounds: int
) -> dict[str, tuple[float, Any]]:
    """Return the least CPU seconds of each and what it made, run in turn."""
    found: dict[str, tuple[float, Any]] = {}
    for _ in range(rounds):
        for name, work in works.items():
            start = time.process_time()
            made = work()
            taken = time.process_time() - start
            found[name] = min(
                found.get(name, (np.inf, None)), (taken, made), key=lambda pair: pair[0]
            )
    return found


def line(name: str, found: dict[str, tuple[float, Any]], note: str = "") -> None:
    """Print one comparison."""
    (mine, _), (theirs, _) = found["ours"], found["peer"]
    print(
        f"{name:46s} ours {mine:7.3f} s   scikit-learn {theirs:7.3f} s   ratio {theirs / mine:5.2f}{note}",
        flush=True,
    )


def slope(fitted: Any, x: Any, y: Any) -> float:
    """Return the largest derivative of Σ loss + ½‖θ‖², divided by the number of examples."""
    theta = np.ravel(fitted.coef_)
    wrong = 1 / (1 + np.exp(-(x @ theta + np.ravel(fitted.intercept_)[0]))) - y
    return float(np.abs(np.append(wrong @ x + theta, wrong.sum())).max() / len(x))


def logistic(samples: int, features: int, rounds: int) -> None:
    """Logistic regression with the same penalty, float64 and float32, and far from 0."""
    random = np.random.default_rng(0)
    base = random.normal(size=(samples, features))
    y = (
        base @ random.normal(size=features) + random.logistic(size=samples) > 0
    ).astype(int)
    for dtype in ("float64", "float32"):
        x = base.astype(dtype)
        works: dict[str, Callable[[], Any]] = {
            "ours": lambda x=x: learners.LogisticRegression(alpha=1.0).fit(x, y),
            "peer": lambda x=x: linear_model.LogisticRegression().fit(x, y),
        }
        found = best_of(works, rounds)
        ends = [slope(found[who][1], base, y) for who in ("ours", "peer")]
        note = f"   largest derivative {ends[0]:.0e}, {ends[1]:.0e}"
        line(f"logistic {samples}×{features} {dtype} (lbfgs)", found, note)


def squares(samples: int, features: int, rounds: int) -> None:
    """Least squares, with and without penalties, and with a condition of 10⁴."""
    random = np.random.default_rng(0)
    x = random.normal(size=(samples, features))
    y = x @ random.normal(size=features) + random.normal(size=samples)
    hard = x + 1e4 * random.normal(size=(samples, 1))
    pairs: list[tuple[str, Any, Any, Any]] = [
        (
            "least squares",
            learners.LinearRegression(),
            linear_model.LinearRegression(),
            x,
        ),
        (
            "least squares, condition 10⁴",
            learners.LinearRegression(),
            linear_model.LinearRegression(),
            hard,
        ),
        ("ridge", learners.Ridge(), linear_model.Ridge(), x),
        ("lasso", learners.Lasso(alpha=0.1), linear_model.Lasso(alpha=0.1), x),
        (
            "elastic net",
            learners.ElasticNet(alpha=0.1),
            linear_model.ElasticNet(alpha=0.1),
            x,
        ),
    ]
    for name, ours, peer, inputs in pairs:
        works: dict[str, Callable[[], Any]] = {
            "ours": lambda ours=ours, inputs=inputs: ours.fit(inputs, y),
            "peer": lambda peer=peer, inputs=inputs: peer.fit(inputs, y),
        }
        line(f"{name} {samples}×{features}", best_of(works, rounds))


def main() -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--samples", type=int, nargs="*", default=[1_000, 100_000, 1_000_000]
    )
    parser.add_argument("--features", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    warnings.simplefilter("ignore")  # the peer's solvers, of their tolerance
    with threadpool_limits(1):
        for samples in args.samples:
            logistic(samples, args.features, args.rounds)
            squares(samples, args.features, args.rounds)


if __name__ == "__main__":
    main()
