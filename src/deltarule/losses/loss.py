"""The base class of losses: a value per example, a reduction, checks of shapes and targets."""

from __future__ import annotations

import difflib
import math
import warnings
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields
from inspect import signature
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from deltarule import shapes
from deltarule.arguments import (
    NamedArguments,
    check_calls,
    former_attribute,
    restore,
    with_current_names,
)
from deltarule.dtypes import DType
from deltarule.errors import (
    ArgumentError,
    DataError,
    DataWarning,
    DTypeError,
    ShapeError,
    user_level,
)
from deltarule.flags import settles_fields
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.graph.op import Op
from deltarule.runtime.buffers import Array, value_of
from deltarule.shapes import Shape
from deltarule.tensor.functional import as_tensor, sigmoid, softmax, where
from deltarule.tensor.tensor import Tensor

__all__ = ["Loss", "from_config", "get", "warn_if_normalized"]

Reduction = Literal["mean", "sum", "none"]
Link = Literal["identity", "sigmoid", "softmax", "sign"]
_KINDS: dict[str, Callable[..., Loss]] = {}


@dataclass(frozen=True)
class Requirement:
    """A condition on targets.

    Attributes:
        violated: True where a target breaks the condition, for an array or a tensor. NaN does
            not violate it.
        expected: The condition in words, for the error.
        hint: A hint for the error.
        measured: The quantity that is checked and shown in the error, such as the sum of each
            row; None for the targets themselves.

    >>> one_of((0, 1), "the labels 0 and 1", "").violated(np.array([0, 1, 2])).tolist()
    [False, False, True]
    """

    violated: Callable[[Any], Any]
    expected: str
    hint: str = ""
    measured: Callable[[Any], Any] | None = None


def one_of(pair: tuple[int, int], expected: str, hint: str) -> Requirement:
    """Return the requirement that targets are one of two numbers, the smaller one given first.

    >>> import numpy as np
    >>> requirement = one_of((-1, 1), "labels -1 and 1", "")
    >>> requirement.expected
    'labels -1 and 1'
    """
    low, high = pair

    def violated(y: Any) -> Any:
        return (y < low) | ((y > low) & (y < high)) | (y > high)

    return Requirement(violated, expected, hint)


@dataclass(frozen=True, kw_only=True)
class Loss(metaclass=NamedArguments):
    """Base class of losses: a value per example, ``per_example`` (N,), and its reduction.

    A loss of your own is a frozen dataclass derived from this class with the method
    ``per_example``, and a ``name`` if it is to be saved or chosen by name.

    Attributes:
        reduction: "mean" or "sum" over examples, or "none" for one value per example.
        name: The short name in ``fit(loss=…)``.
        link: The function from outputs to predictions; losses with "softmax" and "sigmoid" take
            logits unless they are constructed with ``from_logits=False``.

    >>> from deltarule.losses import MeanSquaredError
    >>> loss = MeanSquaredError()
    >>> loss([1.0, 3.0], [0.0, 1.0], sample_weight=[1.0, 0.0]).item()
    0.5
    """

    reduction: Reduction = "mean"
    name: ClassVar[str]
    link: ClassVar[Link] = "identity"

    def __init_subclass__(cls) -> None:
        settles_fields(cls)
        if hasattr(cls, "name"):
            _KINDS[cls.name] = cls

    def __setstate__(self, state: dict[str, Any]) -> None:
        restore(self, state)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            return former_attribute(self, name)

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
        """Return the loss of every example, (N,), summed or averaged over the outputs.

        >>> from deltarule.losses import SquaredError
        >>> from deltarule.tensor.tensor import tensor
        >>> SquaredError().per_example(tensor([[1.0, 2.0], [0.0, 0.0]]), tensor([[0.0, 0.0], [0.0, 3.0]])).tolist()
        [5.0, 9.0]
        """

    def __call__(
        self, prediction: Any, target: Any, sample_weight: Any = None
    ) -> Tensor:
        """Return the reduced loss.

        Args:
            prediction: The outputs of the model, (N, …).
            target: The targets, (N, …).
            sample_weight: A factor for the loss of each example, (N,). The mean remains a mean
                over the N examples (PyTorch divides by the sum of its class weights instead).

        Raises:
            ShapeError: The targets do not have a shape that the loss takes.
            DataError: A target has an invalid value. Known targets are checked here; others
                (arguments of ``dr.jit``, computed ones) when the loss is run.
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
        """Return the reduced loss without checking the values of the targets."""
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
        if counted is None:
            return values.mean()
        return values.sum() / at_least_one(counted.sum())

    def counted(self, prediction: Tensor, target: Tensor) -> Tensor | None:
        """Return the fraction of each example's targets that is counted in the mean, (N,); None for all of them."""
        del prediction, target
        return None

    def check(self, prediction: Shape, target: Shape, dtype: DType) -> None:
        """Raise ShapeError unless predictions and targets have the same shape; they are not broadcast.

        >>> from deltarule import dtypes
        >>> from deltarule.losses import MeanSquaredError
        >>> MeanSquaredError().check((8, 2), (8, 3), dtypes.FLOAT32)
        Traceback (most recent call last):
        deltarule.errors.ShapeError: MeanSquaredError: expected targets of the predictions' shape (8, 2), got (8, 3).
          Give one target for every output of the model.
        """
        del dtype
        if prediction != target:
            raise ShapeError(
                f"{type(self).__name__}",
                expected=f"targets of the predictions' shape {shapes.show(prediction)}",
                got=shapes.show(target),
                hint=same_shape_hint(prediction, target),
            )

    def requirements(self, prediction: Shape, target: Shape) -> tuple[Requirement, ...]:
        """Return the conditions on finite targets, given the shapes of outputs and targets.

        >>> from deltarule.losses import PoissonNLL
        >>> [requirement.expected for requirement in PoissonNLL().requirements((4,), (4,))]
        ['counts ≥ 0']
        """
        del prediction, target
        return ()

    def check_values(self, prediction: Shape, target: Array) -> None:
        """Raise DataError unless the loss is defined for every target; ``prediction`` is the shape of the outputs.

        >>> import numpy as np
        >>> from deltarule.losses import BinaryCrossEntropy
        >>> BinaryCrossEntropy().check_values((2,), np.array([0.0, 2.0]))
        Traceback (most recent call last):
        deltarule.errors.DataError: BinaryCrossEntropy targets: expected numbers in [0, 1], got 2.0 in row 1.
          Labels -1 and 1 are for Hinge(): write (y + 1) / 2. For more classes use CrossEntropy().
        """
        self.require_values(
            target,
            np.isfinite(target),
            "finite numbers",
            "Drop or fill these rows first.",
        )
        for requirement in self.requirements(prediction, target.shape):
            measure = requirement.measured
            measured = target if measure is None else measure(target)
            valid = ~np.asarray(requirement.violated(measured), bool)
            expected, hint = requirement.expected, requirement.hint
            self.require_values(measured, valid, expected, hint)

    def checked(self, prediction: Shape, target: Tensor) -> Tensor:
        """Return targets of unknown values with checks in the graph; a run with an invalid one raises DataError."""
        result = target
        for requirement in self.requirements(prediction, target.shape):
            measure = requirement.measured
            measured = target if measure is None else measure(target)
            valid = build.logical_not(requirement.violated(measured).node)
            shown: Node | None = None
            if measured is not target:
                axis = (target.ndim - 1,)
                valid = build.expand_dims(valid, axis)
                shown = build.expand_dims(measured.node, axis)
            node = build.check(
                result.node,
                valid,
                shown,
                where=f"{type(self).__name__} targets",
                expected=requirement.expected,
                hint=requirement.hint,
            )
            result = Tensor(node)
        return result

    def require_values(
        self, target: Array, valid: Array, expected: str, hint: str = ""
    ) -> None:
        """Raise DataError for the first invalid target."""
        if valid.all():
            return
        place = tuple(int(i) for i in np.argwhere(~valid)[0])
        got = str(target)
        if place:
            got = f"{target[place]} in row {', position '.join(map(str, place))}"
        where = f"{type(self).__name__} targets"
        raise DataError(where, expected=expected, got=got, hint=hint)

    def predict(self, output: Tensor) -> Tensor:
        """Return the predictions: probabilities for logits, else the outputs.

        >>> from deltarule.losses import BinaryCrossEntropy
        >>> from deltarule.tensor.tensor import tensor
        >>> BinaryCrossEntropy().predict(tensor([0.0])).tolist()
        [0.5]
        """
        if not self.expects_logits:
            return output
        return softmax(output) if self.link == "softmax" else sigmoid(output)

    def config(self) -> dict[str, Any]:
        """Return the loss as plain data; ``from_config`` is the inverse.

        >>> from deltarule.losses import Huber
        >>> Huber(delta=2.0).config()
        {'loss': 'huber', 'reduction': 'mean', 'delta': 2.0}
        """
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {"loss": self.name, **values}


def same_shape_hint(prediction: Shape, target: Shape) -> str:
    """Return a hint for reshaping targets to the shape of the predictions.

    >>> same_shape_hint((8,), (8, 1))
    'Write y[:, 0]: the targets have a column too many; they would broadcast to a matrix.'
    """
    if prediction[:-1] == target and prediction[-1:] == (1,):
        return "Write y[:, None] to add an axis to the targets, or .squeeze(-1) to remove the model's last one."
    if target[:-1] == prediction and target[-1:] == (1,):
        return "Write y[:, 0]: the targets have a column too many; they would broadcast to a matrix."
    if len(prediction) == 2 and len(target) == 1 and prediction[0] == target[0]:
        return "For labels of classes use CrossEntropy(); for numbers let the model end in one output."
    return "Give one target for every output of the model."


def require_labels(where: str, scores: Shape, target: Shape, dtype: DType) -> None:
    """Raise unless ``target`` has the shape and type of one integer label for each row of scores.

    Args:
        where: The name of the loss, for the error.
        scores: The shape of the predictions, (…, K).
        target: The shape of the targets.
        dtype: The element type of the targets.

    Raises:
        ShapeError: The shape is not (…,).
        DTypeError: The element type is not an integer type.

    >>> from deltarule import dtypes
    >>> require_labels("CrossEntropy", (8, 3), (8, 3, 2), dtypes.FLOAT32)
    Traceback (most recent call last):
    deltarule.errors.ShapeError: CrossEntropy: expected one label for each row of scores (8, 3), got (8, 3, 2).
      The model's last size is the number of classes; a model with one output takes BinaryCrossEntropy().
    """
    if not scores or target != scores[:-1]:
        hint = "The model's last size is the number of classes; a model with one output takes BinaryCrossEntropy()."
        if target[:-1] == scores[:-1] and target[-1:] == (1,):
            hint = "Write y[:, 0], or y.ravel(): the labels are a column."
        raise ShapeError(
            where,
            expected=f"one label for each row of scores {shapes.show(scores)}",
            got=shapes.show(target),
            hint=hint,
        )
    if not dtype.is_integer:
        raise DTypeError(
            where,
            expected="whole-number labels 0 … classes − 1",
            got=f"{dtype} targets",
            hint="Write y.astype('int64'), or pass one-hot rows.",
        )


def at_least_one(total: Tensor) -> Tensor:
    """Return ``total`` where it is positive, else 1: a divisor for means over no examples.

    >>> at_least_one(as_tensor([0.0, 3.0])).tolist()
    [1.0, 3.0]
    """
    return where(total > 0, total, 1.0)


def over_examples(values: Tensor, how: Literal["mean", "sum"] = "mean") -> Tensor:
    """Reduce all axes but the first: (N, …) → (N,).

    >>> over_examples(as_tensor([[1.0, 3.0], [5.0, 5.0]])).tolist()
    [2.0, 5.0]
    """
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
    """Return the loss described by a ``config()``.

    Raises:
        ArgumentError: an unknown loss, or arguments that it does not take.

    >>> from_config({"loss": "hinge", "squared": True}).squared
    True
    """
    arguments = dict(config)
    name = arguments.pop("loss", "")
    if not isinstance(name, str) or name not in _KINDS:
        raise ArgumentError(
            "loss",
            expected=f"one of {', '.join(sorted(_KINDS))}",
            got=repr(name),
            hint=_hint(name),
        )
    kind = _KINDS[name]
    current = with_current_names(signature(kind).parameters, arguments)
    return kind(**{key: _as_tuple(value) for key, value in current.items()})


def _hint(name: Any) -> str:
    """Return the hint for an unknown loss: a similar name, or how to write a loss of your own."""
    if isinstance(name, str):
        full_name = _ABBREVIATIONS.get(name.lower(), name.lower())
        near = difflib.get_close_matches(full_name, _KINDS, n=1)
        return f"Did you mean {near[0]!r}?" if near else ""
    if isinstance(name, type):
        is_loss = issubclass(name, Loss)
        return f"Write losses.{name.__name__}(), with parentheses." if is_loss else ""
    if callable(name):
        return "A loss of your own is a class derived from losses.Loss with the method per_example."
    return "For several outputs see losses.Multitask." if isinstance(name, dict) else ""


def _as_tuple(value: Any) -> Any:
    """Return nested lists as nested tuples."""
    if not isinstance(value, list):
        return value
    return tuple(_as_tuple(item) for item in value)


def get(loss: str | Loss) -> Loss:
    """Return the loss of a name, or a loss unchanged.

    >>> get("cross_entropy").link
    'softmax'
    """
    return loss if isinstance(loss, Loss) else from_config({"loss": loss})


def warn_if_normalized(loss: Loss, prediction: Tensor) -> None:
    """Warn if a loss on logits gets probabilities, from a softmax or sigmoid at the end of the model.

    >>> warn_if_normalized(get("cross_entropy"), as_tensor([[1.0, 2.0]]))  # logits: no warning
    """
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
            stacklevel=user_level(),
        )


def require_weights(loss: Loss, *names: str) -> None:
    """Raise ArgumentError unless the named fields of a loss are finite numbers ≥ 0."""
    for name in names:
        value = getattr(loss, name)
        if not 0 <= value < math.inf:
            raise ArgumentError(
                f"{type(loss).__name__} {name}",
                expected="a number ≥ 0",
                got=repr(value),
            )


check_calls(__name__)
