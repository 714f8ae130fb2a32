"""What every loss offers: a value per example, a reduction, checks of shapes and targets before a step is run."""

from __future__ import annotations

import difflib
import math
import warnings
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

import numpy as np

from deltarule import shapes
from deltarule.arguments import NamedArguments
from deltarule.dtypes import DType
from deltarule.errors import (
    ArgumentError,
    DataError,
    DataWarning,
    DTypeError,
    ShapeError,
)
from deltarule.flags import settles_fields
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.graph.op import Op
from deltarule.runtime.buffers import Array, value_of
from deltarule.shapes import Shape
from deltarule.tensor.functional import as_tensor, sigmoid, softmax, where
from deltarule.tensor.tensor import Tensor

Reduction = Literal["mean", "sum", "none"]
Link = Literal["identity", "sigmoid", "softmax", "sign"]
_KINDS: dict[str, Callable[..., Loss]] = {}


@dataclass(frozen=True)
class Requirement:
    """What targets have to be. ``breaks`` is true where one is not, for an array or a tensor; NaN breaks nothing.

    ``measured`` is what is looked at and shown in the error, such as the sum of each row; the targets without it.
    """

    breaks: Callable[[Any], Any]
    expected: str
    hint: str = ""
    measured: Callable[[Any], Any] | None = None


def one_of(pair: tuple[int, int], expected: str, hint: str) -> Requirement:
    """Return that targets are one of two numbers, the smaller one first."""
    low, high = pair
    return Requirement(
        lambda y: (y < low) | ((y > low) & (y < high)) | (y > high), expected, hint
    )


@dataclass(frozen=True, kw_only=True)
class Loss(metaclass=NamedArguments):
    """A loss: ``per_example`` (N,) and its reduction over examples (the notes disagree on Σ or mean, X-07, X-13).

    ``name`` is its short name in ``fit(loss=…)``; ``link`` turns the model's output into what is predicted
    ("softmax" and "sigmoid" losses take logits unless they are made with ``from_logits=False``).
    """

    reduction: Reduction = "mean"
    name: ClassVar[str]
    link: ClassVar[Link] = "identity"

    def __init_subclass__(cls) -> None:
        settles_fields(cls)
        if hasattr(cls, "name"):
            _KINDS[cls.name] = cls

    def __post_init__(self) -> None:
        self._require(
            "reduction",
            self.reduction in {"mean", "sum", "none"},
            "'mean', 'sum' or 'none'",
        )

    def _require(self, field: str, condition: bool, expected: str) -> None:
        if not condition:
            raise ArgumentError(
                f"{type(self).__name__} {field}",
                expected=expected,
                got=repr(getattr(self, field)),
            )

    @property
    def expects_logits(self) -> bool:
        """Whether the loss applies a softmax or sigmoid of its own."""
        return self.link in {"softmax", "sigmoid"} and bool(
            getattr(self, "from_logits", True)
        )

    @abstractmethod
    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the loss of every example, (N,); further outputs of an example are summed or averaged."""

    def __call__(
        self, prediction: Any, target: Any, sample_weight: Any = None
    ) -> Tensor:
        """Return the reduced loss.

        ``sample_weight`` (N,) multiplies the loss of each example; the mean stays a mean over the N examples
        (PyTorch divides by the sum of its class weights instead).

        Targets whose values are known are checked here, others (arguments of ``dr.jit``, computed ones) where the
        loss is run: DataError names the loss and the first target that it can't have.
        """
        output, wanted = as_tensor(prediction), as_tensor(target)
        known = value_of(wanted.node)
        if known is None:
            self.check(output.shape, wanted.shape, wanted.dtype)
            wanted = self.checked(output.shape, wanted)
        else:
            self.check(output.shape, wanted.shape, wanted.dtype)
            self.check_values(output.shape, known)
        return self.of_checked(output, wanted, sample_weight)

    def of_checked(
        self, prediction: Tensor, target: Tensor, sample_weight: Any = None
    ) -> Tensor:
        """Return the reduced loss for targets that were checked before, as those of a data set are."""
        output, wanted = prediction, target
        output = output if output.dtype.is_float else output.astype("float32")
        self.check(output.shape, wanted.shape, wanted.dtype)
        values = self.per_example(output, wanted)
        if sample_weight is not None:
            weight = as_tensor(sample_weight)
            if weight.shape != values.shape:
                raise ShapeError(
                    f"{type(self).__name__} sample_weight",
                    expected=f"one weight for each example, {shapes.show(values.shape)}",
                    got=shapes.show(weight.shape),
                )
            values = values * weight.astype(values.dtype)
        if self.reduction != "mean":
            return values if self.reduction == "none" else values.sum()
        counted = self.counted(output, wanted)
        return (
            values.mean()
            if counted is None
            else values.sum() / at_least_one(counted.sum())
        )

    def counted(self, prediction: Tensor, target: Tensor) -> Tensor | None:
        """Return which share of each example's targets counts in the mean, (N,); None where all of them do."""
        del prediction, target
        return None

    def check(self, prediction: Shape, target: Shape, dtype: DType) -> None:
        """Raise unless predictions and targets have the same shape; nothing broadcasts here."""
        del dtype
        if prediction != target:
            raise ShapeError(
                f"{type(self).__name__}",
                expected=f"targets of the predictions' shape {shapes.show(prediction)}",
                got=shapes.show(target),
                hint=same_shape_hint(prediction, target),
            )

    def requirements(self, prediction: Shape, target: Shape) -> tuple[Requirement, ...]:
        """Return what targets have to be beside finite, for the shapes of outputs and targets."""
        del prediction, target
        return ()

    def check_values(self, prediction: Shape, target: Array) -> None:
        """Raise DataError unless every target can be a target of this loss; ``prediction`` is the outputs' shape."""
        self.require_values(
            target,
            np.isfinite(target),
            "finite numbers",
            "Drop or fill these rows first.",
        )
        for one in self.requirements(prediction, target.shape):
            measured = target if one.measured is None else one.measured(target)
            self.require_values(
                measured,
                ~np.asarray(one.breaks(measured), bool),
                one.expected,
                one.hint,
            )

    def checked(self, prediction: Shape, target: Tensor) -> Tensor:
        """Return targets whose values are not known yet; a run with one that does not fit ends with DataError."""
        result = target
        for one in self.requirements(prediction, target.shape):
            measured = target if one.measured is None else one.measured(target)
            holds = build.logical_not(one.breaks(measured).node)
            if measured is not target:
                holds, shown = (
                    build.expand_dims(node, (target.ndim - 1,))
                    for node in (holds, measured.node)
                )
            where = f"{type(self).__name__} targets"
            known = None if measured is target else shown
            result = Tensor(
                build.check(
                    result.node,
                    holds,
                    known,
                    where=where,
                    expected=one.expected,
                    hint=one.hint,
                )
            )
        return result

    def require_values(
        self, target: Array, fits: Array, expected: str, hint: str = ""
    ) -> None:
        """Raise DataError at the first target that does not fit."""
        if not fits.all():
            place = tuple(int(i) for i in np.argwhere(~fits)[0])
            raise DataError(
                f"{type(self).__name__} targets",
                expected=expected,
                got=f"{target[place]} in row {', position '.join(map(str, place))}"
                if place
                else str(target),
                hint=hint,
            )

    def predict(self, output: Tensor) -> Tensor:
        """Return what the output means: probabilities for logits, else the output."""
        if not self.expects_logits:
            return output
        return softmax(output) if self.link == "softmax" else sigmoid(output)

    def config(self) -> dict[str, Any]:
        """Return the loss as plain data; ``from_config`` makes it again."""
        return {
            "loss": self.name,
            **{f.name: getattr(self, f.name) for f in fields(self)},
        }


def same_shape_hint(prediction: Shape, target: Shape) -> str:
    """Say how to bring targets to the predictions' shape."""
    if prediction[:-1] == target and prediction[-1:] == (1,):
        return "Write y[:, None] to give the targets a column, or let the model end in one value with .squeeze(-1)."
    if target[:-1] == prediction and target[-1:] == (1,):
        return "Write y[:, 0]: the targets have a column too many; they would broadcast to a matrix."
    if len(prediction) == 2 and len(target) == 1 and prediction[0] == target[0]:
        return "For labels of classes use CrossEntropy(); for numbers let the model end in one output."
    return "Give one target for every output of the model."


def require_labels(where: str, scores: Shape, target: Shape, dtype: DType) -> None:
    """Raise unless ``target`` holds one whole-number label for each row of scores."""
    if not scores or target != scores[:-1]:
        column = target[:-1] == scores[:-1] and target[-1:] == (1,)
        raise ShapeError(
            where,
            expected=f"one label for each row of scores {shapes.show(scores)}",
            got=shapes.show(target),
            hint="Write y[:, 0], or y.ravel(): the labels are a column."
            if column
            else "The model's last size is the number of classes; a model with one output takes BinaryCrossEntropy().",
        )
    if not dtype.is_integer:
        raise DTypeError(
            where,
            expected="whole-number labels 0 … classes − 1",
            got=f"{dtype} targets",
            hint="Write y.astype('int64'), or hand over one-hot rows.",
        )


def at_least_one(total: Tensor) -> Tensor:
    """Return a divisor: 1 where there is nothing to divide by."""
    return where(total > 0, total, 1.0)


def over_examples(values: Tensor, how: Literal["mean", "sum"] = "mean") -> Tensor:
    """Reduce everything but the examples: (N, …) → (N,)."""
    if values.ndim < 2:
        return values
    axes = tuple(range(1, values.ndim))
    return values.mean(axes) if how == "mean" else values.sum(axes)


_ABBREVIATIONS = {
    "mse": "mean_squared_error",
    "mae": "mean_absolute_error",
    "bce": "binary_cross_entropy",
    "nll": "negative_log_likelihood",
    "ce": "cross_entropy",
    "l1": "mean_absolute_error",
    "categorical_crossentropy": "cross_entropy",
    "crossentropy": "cross_entropy",
    "sparse_categorical_crossentropy": "cross_entropy",
}


def from_config(config: dict[str, Any]) -> Loss:
    """Return the loss of a ``config()``."""
    arguments = dict(config)
    name = arguments.pop("loss", "")
    if not isinstance(name, str) or name not in _KINDS:
        raise ArgumentError(
            "loss",
            expected=f"one of {', '.join(sorted(_KINDS))}",
            got=repr(name),
            hint=_meant(name),
        )
    return _KINDS[name](**{key: _frozen(value) for key, value in arguments.items()})


def _meant(name: Any) -> str:
    """Return the way out for what is no loss: the name that was meant, or how a loss of one's own is written."""
    if isinstance(name, str):
        near = difflib.get_close_matches(
            _ABBREVIATIONS.get(name.lower(), name.lower()), _KINDS, n=1
        )
        return f"Did you mean {near[0]!r}?" if near else ""
    if isinstance(name, type):
        return (
            f"Write losses.{name.__name__}(), with parentheses."
            if issubclass(name, Loss)
            else ""
        )
    if callable(name):
        return "A loss of your own is a class derived from losses.Loss with the method per_example."
    return "For several outputs see losses.Multitask." if isinstance(name, dict) else ""


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value


def get(loss: str | Loss) -> Loss:
    """Return a loss by name, or as it is.

    >>> get("cross_entropy").link
    'softmax'
    """
    return loss if isinstance(loss, Loss) else from_config({"loss": loss})


def warn_if_normalized(loss: Loss, prediction: Tensor) -> None:
    """Warn when a loss on logits is fed with probabilities: a softmax or sigmoid at the end of the model."""
    node: Node = prediction.node
    while node.op in {Op.RESHAPE, Op.CAST, Op.BROADCAST, Op.PERMUTE, Op.SLICE}:
        node = node.sources[0]
    function = node.attributes.get("function") if node.op is Op.CALL else None
    if loss.expects_logits and function in {"softmax", "sigmoid"}:
        other = ", or write from_logits=False" if hasattr(loss, "from_logits") else ""
        warnings.warn(
            f"{type(loss).__name__} expects logits, but the model ends in {function}: the loss would apply "
            f"{loss.link} twice and train slowly. Remove the last activation (predict_proba applies it){other}.",
            DataWarning,
            stacklevel=3,
        )


def require_weights(loss: Loss, *names: str) -> None:
    """Raise unless fields of a loss are numbers ≥ 0."""
    for name in names:
        value = getattr(loss, name)
        if not 0 <= value < math.inf:
            raise ArgumentError(
                f"{type(loss).__name__} {name}",
                expected="a number ≥ 0",
                got=repr(value),
            )
