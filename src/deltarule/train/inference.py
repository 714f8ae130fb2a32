"""Evaluate and predict: batches through a compiled program in inference mode."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from deltarule.data import check_arrays
from deltarule.losses import Loss
from deltarule.losses import get as get_loss
from deltarule.runtime.devices import backend
from deltarule.tensor.tensor import Tensor
from deltarule.train.metrics import Metric, get_all
from deltarule.train.prepare import as_model_input, as_target, model_dtype
from deltarule.train.program import Objective, Spec, inference_program, per_example_loss
from deltarule.train.protocol import Trainable

Array = npt.NDArray[Any]
Outputs = Callable[[Tensor, Sequence[Tensor]], list[Tensor]]


def in_batches(
    model: Trainable, arrays: Sequence[Array], batch_size: int, device: str, outputs: Outputs
) -> list[Array]:
    """Return the outputs for all rows, joined along the first axis."""
    n = len(arrays[0])
    size = min(batch_size, n)
    specs = [Spec.of(array) for array in arrays]
    pieces: list[list[Array]] = []
    for count, start, stop in ((size, 0, n - n % size), (n % size, n - n % size, n)):
        if count == 0 or start == stop:
            continue
        built = inference_program(model, specs, count, outputs)
        run = backend(device).compile(built.program)
        for row in range(start, stop, count):
            pieces.append(run(*(array[row : row + count] for array in arrays), *built.constants))
    return [np.concatenate(parts) for parts in zip(*pieces, strict=True)]


def predict(
    model: Trainable, inputs: Any, batch_size: int = 256, device: str = "cpu", loss: Loss | None = None
) -> Array:
    """Return the model's outputs for all inputs; with a loss, what they mean (probabilities for logits)."""
    x, _ = check_arrays(inputs, where="predict")
    x = as_model_input(x, model_dtype(model))
    meaning: Outputs = lambda output, batch: [loss.predict(output) if loss is not None else output]  # noqa: E731  # one line reads best
    return in_batches(model, [x], batch_size, device, meaning)[0]


def evaluate(
    model: Trainable,
    inputs: Any,
    targets: Any,
    loss: str | Loss,
    metrics: Sequence[str | Metric] = (),
    batch_size: int = 256,
    device: str = "cpu",
) -> dict[str, float]:
    """Return the mean loss and metrics over a data set, computed in inference mode; penalties are left out."""
    x, y = check_arrays(inputs, targets, where="evaluate")
    chosen = get_loss(loss)
    kind = model_dtype(model)
    arrays = [as_model_input(x, kind), as_target(np.asarray(y), kind)]
    bound = [metric.bound_to(arrays[1]) for metric in get_all(metrics)]
    objective = Objective(chosen, tuple(bound))

    def outputs(output: Tensor, batch: Sequence[Tensor]) -> list[Tensor]:
        values = [per_example_loss(objective, output, batch)]
        return [*values, *(m.per_example(output, batch[1], chosen) for m in objective.metrics)]

    columns = in_batches(model, arrays, batch_size, device, outputs)
    names = ["loss", *(metric.name for metric in bound)]
    total = "sum" if chosen.reduction == "sum" else "mean"
    values = [float(getattr(column.astype(np.float64), total if name == "loss" else "mean")())
              for name, column in zip(names, columns, strict=True)]  # fmt: skip
    return dict(zip(names, values, strict=True))
