"""``predict`` beside what it costs to run the program alone, to build it anew, and the peers; CPU time of one thread.

``python benchmarks/predict.py`` prints microseconds of a call on one example: ``predict`` with kept programs, the
compiled program called by itself (the difference is the overhead), building the graph at each call, and PyTorch eager
or scikit-learn. The columns are measured in turns in one process.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

from deltarule import learners, nn
from deltarule.runtime.devices import compiled
from deltarule.train.steps.step import columns, prediction_program


def networks() -> dict[str, tuple[nn.Module, Any, tuple[int, ...]]]:
    """Return networks by name: ours, PyTorch's, the shape of one example."""
    torch.manual_seed(0)
    dense = torch.nn.Sequential(
        torch.nn.Linear(20, 64),
        torch.nn.ReLU(),
        torch.nn.Linear(64, 64),
        torch.nn.ReLU(),
        torch.nn.Linear(64, 3),
    )
    convolutional = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, padding=1),
        torch.nn.BatchNorm2d(8),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(8, 8, 3, padding=1),
        torch.nn.BatchNorm2d(8),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(512, 10),
    )
    recurrent = torch.nn.LSTM(8, 32, batch_first=True)
    return {
        "dense 20-64-64-3": (
            nn.Sequential(
                nn.Linear(20, 64),
                nn.ReLU(),
                nn.Linear(64, 64),
                nn.ReLU(),
                nn.Linear(64, 3),
            ),
            dense,
            (20,),
        ),
        "convolutional 32×32×3": (
            nn.Sequential(
                nn.Conv2d(3, 8, 3, padding=1),
                nn.BatchNorm(8),
                nn.ReLU(),
                nn.MaxPool2d(2),
                nn.Conv2d(8, 8, 3, padding=1),
                nn.BatchNorm(8),
                nn.ReLU(),
                nn.MaxPool2d(2),
                nn.Flatten(),
                nn.Linear(512, 10),
            ),
            convolutional,
            (32, 32, 3),
        ),
        "LSTM, 50 steps of 8, 32 units": (
            nn.Sequential(nn.LSTM(8, 32)),
            lambda x: recurrent(x)[0][:, -1],
            (50, 8),
        ),
    }


def measured(
    on_interrupt: dict[str, Callable[[], Any]], rounds: int = 7
) -> dict[str, float]:
    """Return the least CPU microseconds of each call; the calls take turns."""
    best = dict.fromkeys(on_interrupt, math.inf)
    for call in on_interrupt.values():
        call()
    for _ in range(rounds):
        for name, call in on_interrupt.items():
            n, start = 0, time.process_time()
            while n < 2 or time.process_time() - start < 0.03:
                call()
                n += 1
            best[name] = min(best[name], (time.process_time() - start) / n)
    return {name: 1e6 * seconds for name, seconds in best.items()}


def _network(model: nn.Module, peer: Any, shape: tuple[int, ...]) -> dict[str, float]:
    x = np.random.default_rng(0).normal(size=(1, *shape)).astype(np.float32)
    tensor = torch.from_numpy(np.moveaxis(x, -1, 1).copy() if len(shape) == 3 else x)
    (column,) = columns([x])
    program, values = prediction_program(model, column, 1)
    run = compiled(program, "cpu", 1)

    def anew() -> Any:
        built, leaves = prediction_program(model, column, 1)
        return compiled(built, "cpu", 1)(*leaves, x)

    def eager() -> Any:
        with torch.inference_mode():
            return peer(tensor)

    return measured(
        {
            "predict": lambda: model.predict(x, threads=1),
            "program": lambda: run(*values, x),
            "anew": anew,
            "torch": eager,
        }
    )


def _learners() -> dict[str, dict[str, float]]:
    random = np.random.default_rng(0)
    x = random.normal(size=(178, 13))
    y = (x[:, 0] + x[:, 1] > 0).astype(int) + (x[:, 2] > 1)
    pairs = {
        "MLP": (
            learners.MLPClassifier((100,), epochs=2, random_state=0, threads=1),
            MLPClassifier((100,), max_iter=9),
        ),
        "softmax": (learners.SoftmaxRegression(), LogisticRegression()),
    }
    found: dict[str, dict[str, float]] = {}
    for name, (ours, theirs) in pairs.items():
        ours.fit(x, y)
        theirs.fit(x, y)
        for method in ("predict", "predict_proba", "decision_function"):
            on_interrupt = {"ours": lambda m=method, o=ours: getattr(o, m)(x[:1])}
            if hasattr(theirs, method):
                on_interrupt["scikit-learn"] = lambda m=method, t=theirs: getattr(t, m)(
                    x[:1]
                )
            found[f"{name} {method}"] = measured(on_interrupt)
    return found


def main() -> None:
    """Print both tables."""
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    print(
        "| network, one example | `predict` | program alone | overhead | graph built anew | torch eager |"
    )
    print("|---|---:|---:|---:|---:|---:|")
    for name, parts in networks().items():
        t = _network(*parts)
        cells = (
            t["predict"],
            t["program"],
            t["predict"] - t["program"],
            t["anew"],
            t["torch"],
        )
        print(
            f"| {name} | " + " | ".join(f"{value:,.1f}" for value in cells) + " |",
            flush=True,
        )
    print("\n| learner, one row | deltarule | scikit-learn |\n|---|---:|---:|")
    for name, found in _learners().items():
        print(
            f"| {name} | {found['ours']:,.0f} | "
            + (f"{found['scikit-learn']:,.0f} |" if len(found) > 1 else "– |")
        )


if __name__ == "__main__":
    main()
