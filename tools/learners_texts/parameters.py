"""What the parameters of the learners mean, a phrase each: shared names once, a learner's own on its page."""

from __future__ import annotations

import inspect
from collections.abc import Mapping

from deltarule import learners
from deltarule.learners.neural_network.architectures import ACTIVATIONS
from learners_texts.page import Page

SHARED: Mapping[str, str] = {
    "activation": "between the layers: " + ", ".join(sorted(ACTIVATIONS)),
    "alpha": "strength of the penalty ½·alpha·‖W‖²",
    "batch_norm": "whether batch normalisation stands before each activation",
    "batch_size": "examples a step",
    "callbacks": "objects of `deltarule.train.Callback` that watch or steer the training",
    "class_prior": "P(c) in the order of `classes_`; None for the shares of the classes in the data",
    "class_weight": 'None, "balanced", or {class: weight}',
    "device": '"cpu" compiles machine code, "reference" is plain NumPy and starts at once',
    "dropout": "probability with which a hidden unit is dropped in training",
    "dtype": '"auto" follows the data: float32 stays float32, all else is float64',
    "early_stopping": "whether to stop when `monitor` no longer falls, and keep the best weights",
    "epochs": "passes over the data",
    "fit_intercept": "whether b is learnt, or 0",
    "fit_prior": "whether shares of the classes are P(c), or all classes are equally likely",
    "hidden_sizes": "units of each hidden layer",
    "kernel_size": "height and width of every filter",
    "learning_rate": "size η of a step",
    "loss": "a name, a `Loss` of `deltarule.losses`, or a function (outputs, targets) → one value an example",
    "max_iter": "steps at most",
    "metric": '"euclidean", "manhattan", "chebyshev", "cosine", or a function (a, b) → distance',
    "metrics": "what else to measure every epoch",
    "min_dist": "how tightly points may lie on the map",
    "monitor": "the value that early stopping watches",
    "n_components": "numbers of a code; None takes as many as there are",
    "n_estimators": "members",
    "n_negatives": "random pairs pushed apart for each edge drawn together",
    "n_neighbors": "how many neighbours count",
    "optimizer": "a name, or an optimiser of `deltarule.optim`",
    "patience": "epochs without progress before early stopping",
    "priors": "P(c) in the order of `classes_`; None for the shares of the classes in the data",
    "random_state": "seed: the same one gives the same result",
    "regularizers": "further penalties of `deltarule.losses`",
    "shuffle": "whether every epoch has an order of its own",
    "solver": '"newton", or "delta": the delta rule',
    "spread": "scale of the map, with `min_dist`",
    "threads": "how many; None takes all cores",
    "tol": "change below which the work is done",
    "validation_fraction": "share of the examples held out where `early_stopping` gets no `validation_data`",
    "verbose": "0 is silent, 1 prints a line an epoch",
    "warm_start": "whether `fit` goes on from the last weights",
    "weights": '"uniform", "distance": a neighbour counts 1/distance, or a function of the distances (N, k)',
}


def meaning(page: Page, name: str) -> str:
    """Return what a parameter of a learner means: from its docstring, else from the page or the shared table.

    Raises:
        SystemExit: it is documented nowhere.
    """
    documented = documented_parameters(getattr(learners, page.learner))
    found = documented.get(name, page.meanings.get(name, SHARED.get(name)))
    if found is None:
        raise SystemExit(f"{page.learner}: document the parameter {name}")
    return found


def documented_parameters(kind: type) -> dict[str, str]:
    """Return the parameters of the section ``Args:`` of a class, each with its description in Markdown."""
    lines = inspect.cleandoc(kind.__doc__ or "").splitlines()
    if "Args:" not in lines:
        return {}
    found: dict[str, str] = {}
    name = ""
    for line in lines[lines.index("Args:") + 1 :]:
        if not line.startswith("    "):
            break
        if line.startswith("        "):
            found[name] += f" {line.strip()}"
        else:
            name, _, text = line.strip().partition(": ")
            found[name] = text
    return {name: text.replace("``", "`") for name, text in found.items()}
