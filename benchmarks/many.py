"""Many models in one program against the same models one after the other: ratios in one run.

    python benchmarks/many.py                     # tabular data: folds × learning rates × seeds
    python benchmarks/many.py --examples 20480 --epochs 10 --models 8 32

A model is 30-W-W-1 with ReLU, binary cross-entropy and Adam on batches of 32 (W = 64 is workload W5); every model
has its own four-fold split, learning rate, seed and early stopping, and is measured on its held-out fold after every
epoch. "Alone" is ``train.fit`` for one model after the other, "together" is ``train.fit_many``, both with everything
that the user waits for: building, compiling, training, validation. The last ratio is harder: all of "together"
against nothing but the steps of "alone".
Both sides run in turns; the table shows medians of the rounds. Compiled code is not kept on disk meanwhile, unless
with ``--warm``: then every round has the same learning rates, and all programs were compiled before the first one.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from deltarule import nn, optim, train
from deltarule.cli.workloads import WORKLOADS
from deltarule.render.table import text_table

FOLDS = 4
LOSS = "binary_cross_entropy"


@dataclass(frozen=True)
class Study:
    """Models of one width on one data set."""

    width: int
    models: int
    examples: int
    epochs: int
    threads: int

    def network(self, seed: int) -> nn.Module:
        """Return one model with weights of its own."""
        w = self.width
        made = nn.Sequential(
            nn.Linear(30, w), nn.ReLU(), nn.Linear(w, w), nn.ReLU(), nn.Linear(w, 1)
        )
        made.initialize(seed)
        return made

    def rows(self) -> tuple[list[Any], list[Any]]:
        """Return the training rows and the held-out rows of every model."""
        parts = np.array_split(
            np.random.default_rng(0).permutation(self.examples), FOLDS
        )
        held = [parts[i % FOLDS] for i in range(self.models)]
        kept = [
            np.concatenate([p for j, p in enumerate(parts) if j != i % FOLDS])
            for i in range(self.models)
        ]
        return kept, held

    def rates(self, round_number: int) -> list[float]:
        """Return learning rates, others in every round, so that nothing is compiled already."""
        return [
            1e-3 * (1 + 0.1 * (i // FOLDS % 8)) * (1 + 1e-3 * round_number)
            for i in range(self.models)
        ]


def stopping(study: Study) -> train.EarlyStopping:
    """Return early stopping that watches and never comes true, so that both sides do the same work."""
    return train.EarlyStopping("val_loss", patience=study.epochs)


def alone(
    study: Study, x: Any, y: Any, round_number: int, count: int
) -> tuple[float, float]:
    """Fit some of the models one after the other; return seconds a model, and those of its steps."""
    kept, held = study.rows()
    rates, chosen = (
        study.rates(round_number),
        range(0, study.models, study.models // count),
    )
    start, steps = time.perf_counter(), 0.0
    for i in chosen:
        history = train.fit(
            study.network(i),
            x[kept[i]],
            y[kept[i]],
            loss=LOSS,
            optimizer=optim.Adam(learning_rate=rates[i]),
            epochs=study.epochs,
            seed=i,
            validation_data=(x[held[i]], y[held[i]]),
            callbacks=[stopping(study)],
            threads=study.threads,
            verbose=0,
        )
        steps += history.train_seconds
    return (time.perf_counter() - start) / len(chosen), steps / len(chosen)


def together(study: Study, x: Any, y: Any, round_number: int) -> float:
    """Fit all models side by side; return seconds a model."""
    kept, held = study.rows()
    start = time.perf_counter()
    train.fit_many(
        [study.network(i) for i in range(study.models)],
        x,
        y,
        loss=LOSS,
        learning_rate=study.rates(round_number),
        seed=range(study.models),
        train_rows=kept,
        validation_rows=held,
        epochs=study.epochs,
        callbacks=[stopping(study)],
        threads=study.threads,
    )
    return (time.perf_counter() - start) / study.models


def main() -> None:
    """Read the options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--widths", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--models", type=int, nargs="+", default=[8, 32, 128])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--examples", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--alone",
        type=int,
        default=4,
        help="models that are fitted alone in each round",
    )
    parser.add_argument(
        "--warm", action="store_true", help="find all programs compiled"
    )
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="deltarule-many-") as folder:
        os.environ["DELTARULE_CACHE"] = folder if given.warm else "off"
        measure(given)


def measure(given: argparse.Namespace) -> None:
    """Print the table."""
    x, y = WORKLOADS["W5"].arrays()
    x, y = x[: given.examples], y[: given.examples]
    rows = []
    for width in given.widths:
        for models in given.models:
            for threads in given.threads:
                study = Study(width, models, len(x), given.epochs, threads)
                count = min(given.alone, models)
                if given.warm:
                    alone(study, x, y, 0, count)
                    together(study, x, y, 0)
                rounds = [
                    (alone(study, x, y, number, count), together(study, x, y, number))
                    for number in (
                        [0] * given.rounds if given.warm else range(given.rounds)
                    )
                ]
                one = statistics.median(a for (a, _), _ in rounds)
                joint = statistics.median(b for _, b in rounds)
                ratio = statistics.median(a / b for (a, _), b in rounds)
                steps = statistics.median(a for (_, a), _ in rounds)
                rows.append(
                    [
                        str(width),
                        str(models),
                        str(threads),
                        f"{1e3 * one:.0f}",
                        f"{1e3 * joint:.1f}",
                        f"{ratio:.1f}",
                        f"{1e3 * steps:.1f}",
                        f"{steps / joint:.2f}",
                    ]
                )
    header = (
        "width",
        "models",
        "threads",
        "alone ms",
        "together ms",
        "ratio",
        "alone, steps only ms",
        "ratio to those",
    )
    print(
        f"{len(x)} examples, {given.epochs} epochs, milliseconds a model, medians of {given.rounds} rounds"
    )
    print(text_table(rows, header=header, rule=True))


if __name__ == "__main__":
    main()
