"""Module: the base class of every layer and network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from inspect import signature
from pathlib import Path
from typing import Any, ClassVar, cast

from deltarule import losses, train
from deltarule.arguments import with_current_names
from deltarule.dtypes import DType
from deltarule.errors import ArgumentError, DTypeError, ShapeError
from deltarule.flags import checks_flags
from deltarule.losses import Loss
from deltarule.nn import context as contexts
from deltarule.nn.context import ForwardContext, LayerCall, Record
from deltarule.nn.layer_cost import LayerCost
from deltarule.nn.module import document, effects, shape_errors
from deltarule.nn.module.arguments import constructor_arguments, is_built_in
from deltarule.nn.module.tree import Tree
from deltarule.nn.summary.summary import Summary, summarize
from deltarule.optim import Optimizer
from deltarule.renamed import warn_former
from deltarule.runtime.buffers import Array
from deltarule.shapes import Shape
from deltarule.tensor.functional import TensorLike, as_tensor
from deltarule.tensor.tensor import Tensor
from deltarule.train import Callback, History
from deltarule.train.listing import Form, prediction_source
from deltarule.train.monitoring.metrics import MetricLike
from deltarule.train.monitoring.progress import Progress
from deltarule.train.protocol import ForwardResult, Mode
from deltarule.train.steps.epoch_data import Augment
from deltarule.train.steps.prepare import ClassWeight
from deltarule.train.steps.step import Regularizer

__all__ = ["Module"]


class Module(Tree):
    """Base class of layers and networks: define ``forward(self, x)``, assign layers and parameters as attributes.

    Attributes are registered by name, also inside lists, tuples and dictionaries:
    submodules, parameters (``dr.parameter``) and state (``dr.tensor`` attributes such
    as running statistics; those whose name begins with ``_`` are private). Calling a
    module runs ``forward`` in a mode, "inference" by default; a submodule uses the mode
    of the call that it is part of.

    Initial weights are a function of a seed, of the parameter's name and of the number
    of networks that were built alike before: a program has the same weights in every
    run, and the members of an ensemble start apart. ``initialize(seed)`` or a layer's
    ``seed`` gives equal weights to networks of one architecture; ``dr.manual_seed``
    sets the default seed.

    ``forward`` may assign state: ``self.count.assign(self.count + 1.0)``. State changes
    with every call at the prompt and once per training step under ``fit``;
    ``evaluate``, ``predict`` and validation leave it unchanged.

    >>> from deltarule import nn
    >>> class Skip(nn.Module):
    ...     def __init__(self):
    ...         self.inner = nn.Linear(3, 3)
    ...     def forward(self, x):
    ...         return nn.relu(self.inner(x)) + x
    >>> [name for name, _ in Skip().named_parameters()]
    ['inner.weight', 'inner.bias']
    """

    # parameter of the constructor → attribute that holds it, where the names differ (None: not saved)
    argument_attributes: ClassVar[Mapping[str, str | None]] = {}

    # ---------------------------------------------------------------- overridden by subclasses

    def _no_forward(self, *inputs: Any) -> Any:
        """Compute the output from the inputs; subclasses define ``forward`` with their own inputs."""
        raise ArgumentError(
            f"{type(self).__name__} of {len(inputs)} inputs",
            expected="a method forward(self, x)",
            got="none",
            hint="Define forward(self, x), which computes the output.",
        )

    forward: Callable[..., Any] = _no_forward

    def arguments(self) -> dict[str, Any] | None:
        """Return the constructor arguments of this layer as plain data; None for a user-defined class.

        The arguments of a built-in layer are the attributes with the names of the constructor's parameters, or with
        those of ``argument_attributes``.

        >>> from deltarule import nn
        >>> nn.Dropout(0.25).arguments()
        {'drop_probability': 0.25, 'scale_in': 'training'}
        """
        if not is_built_in(type(self)):
            return None
        return constructor_arguments(self, self.argument_attributes)

    def layer_cost(self, inputs: Shape, output: Shape) -> LayerCost:  # noqa: ARG002  # subclasses use them
        """Return the cost of this layer for one example, for ``summary``.

        Args:
            inputs: Shape of the (first) input, without the batch axis.
            output: Shape of the output, without the batch axis.

        >>> from deltarule import nn
        >>> nn.Linear(2, 3).layer_cost((2,), (3,)).parameters
        '2·3 + 3'
        """
        return LayerCost(flops=None)

    def account(self, inputs: Shape, output: Shape) -> LayerCost:
        """Return ``layer_cost``: the former name, which subclasses may still override."""
        warn_former(f"{type(self).__name__}.account", "layer_cost")
        kinds = (vars(kind) for kind in type(self).__mro__ if kind is not Module)
        own = (
            kind["layer_cost"]
            for kind in kinds
            if "account" not in kind and "layer_cost" in kind
        )
        return cast("LayerCost", next(own, Module.layer_cost)(self, inputs, output))

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "account" in vars(cls) and "layer_cost" not in vars(cls):
            warn_former(f"{cls.__name__}.account", "layer_cost")
            type.__setattr__(cls, "layer_cost", vars(cls)["account"])

    def example_rank(self) -> int | None:
        """Return the number of axes of one example (an input with one more is a batch), or None if any is accepted.

        >>> from deltarule import nn
        >>> nn.Conv2d(1, 8, kernel_size=3).example_rank()
        3
        """
        return None

    def input_dtype(self) -> DType | None:
        """Return the element type that the input must have (integers for an embedding), or None if any is accepted.

        >>> from deltarule import nn
        >>> nn.Embedding(10, 4).input_dtype(), nn.Linear(2, 3).input_dtype()
        (int64, None)
        """
        return None

    def label(self) -> str:
        """Return the short form of the layer in summaries and errors.

        >>> from deltarule import nn
        >>> nn.Conv2d(1, 8, kernel_size=3).label()
        'Conv2d(1→8, 3×3)'
        """
        return type(self).__name__

    def named_children(self) -> list[tuple[str, Module]]:
        """Return the direct submodules by name (``blocks.0`` for those in a list)."""
        return cast("list[tuple[str, Module]]", super().named_children())

    def named_modules(self, prefix: str = "") -> list[tuple[str, Module]]:
        """Return this module ("") and all submodules, each once, by path."""
        return cast("list[tuple[str, Module]]", super().named_modules(prefix))

    # ---------------------------------------------------------------- calling

    def __call__(
        self,
        *inputs: TensorLike,
        mode: Mode | None = None,
        seed: Tensor | int | None = None,
        step: Tensor | int | None = None,
    ) -> Tensor:
        """Return ``forward(*inputs)``: a tensor, or the tuple that ``forward`` returns. Arrays become tensors.

        Args:
            *inputs: One example or a batch.
            mode: "training" or "inference"; by default that of the surrounding call, "inference" for the outermost one.
                In "training" dropout is active, and running statistics are updated after the call.
            seed: Seed of random layers.
            step: Step counter of random layers: the same (seed, step) gives the same random numbers.
        """
        tensors = tuple(as_tensor(x) for x in inputs)
        outer = contexts.current()
        if outer is not None:
            batched = self._batched(tensors) if outer.batched is None else outer.batched
            with contexts.activated(
                replace(outer, mode=_check_mode(mode or outer.mode), batched=batched)
            ) as inner:
                return cast("Tensor", self._call_forward(inner, tensors))
        record = self.record(seed, step)
        output = self.run(record, tensors, mode or "inference", self._batched(tensors))
        record.commit_state()
        return cast("Tensor", output)

    def apply(
        self,
        inputs: TensorLike,
        *,
        mode: Mode = "inference",
        seed: Tensor | int | None = None,
        step: Tensor | int | None = None,
    ) -> ForwardResult:
        """Return output, new state and penalties for a batch as pure expressions; nothing is assigned.

        Args:
            inputs: A batch.
            mode: "training" or "inference".
            seed: Seed of random layers.
            step: Step counter of random layers.

        >>> from deltarule import nn
        >>> from deltarule.tensor.functional import ones
        >>> nn.Dropout(0.5).apply(ones((2, 3)), mode="inference").output.tolist()
        [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
        """
        record = self.record(seed, step)
        with effects.record_assignments(self, training=mode == "training") as seen:
            output = self.run(record, (as_tensor(inputs),), mode, batched=True)
        new = seen.state | {
            path: record.updates[id(item)][1]
            for path, item in self.named_state()
            if id(item) in record.updates
        }
        return ForwardResult(output, new, record.penalties)

    def record(
        self, seed: Tensor | int | None = None, step: Tensor | int | None = None
    ) -> Record:
        """Return an empty record of a call, with the names of all submodules."""
        return Record(
            {id(module): path for path, module in self.named_modules()}, seed, step
        )

    def run(
        self,
        record: Record,
        inputs: tuple[Tensor, ...],
        mode: Mode,
        batched: bool | None,
    ) -> Any:
        """Run ``forward`` as the outermost module and fill the record, up to the first error."""
        context = ForwardContext(record, _check_mode(mode), batched)
        with contexts.activated(context):
            return self._call_forward(context, inputs)

    def _batched(self, inputs: tuple[Tensor, ...]) -> bool | None:
        rank = self.example_rank()
        return None if rank is None or not inputs else inputs[0].ndim > rank

    def _call_forward(self, context: ForwardContext, inputs: tuple[Tensor, ...]) -> Any:
        """Run ``forward`` and record the layer call; a shape error is raised again with the path of shapes so far."""
        record = context.record
        try:
            output = self.forward(*inputs)
        except (ShapeError, DTypeError) as error:
            if record.error is not None and record.error is error:
                raise
            record.error = shape_errors.with_location(error, self, context, inputs)
            raise record.error from error
        first = output[0] if isinstance(output, tuple) and output else output
        if isinstance(first, Tensor) and not self.named_children():
            record.trail.append(
                LayerCall(
                    self,
                    record.names.get(id(self), ""),
                    inputs,
                    first,
                    bool(context.batched),
                )
            )
        return output

    def hidden_features(self, x: TensorLike, *names: str) -> dict[str, Tensor]:
        """Return the outputs of the named layers (all layers by default) at inference, by name.

        A layer that is called several times appears as ``name``, ``name#2``, …

        >>> from deltarule import nn
        >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
        >>> model.hidden_features([1.0, 2.0], "1")["1"].shape
        (3,)
        """
        inputs, record = (as_tensor(x),), self.record()
        self.run(record, inputs, "inference", self._batched(inputs))
        found: dict[str, Tensor] = {}
        for visit in record.trail:
            calls = sum(key.partition("#")[0] == visit.name for key in found)
            found[f"{visit.name}#{calls + 1}" if calls else visit.name] = visit.output
        unknown = [name for name in names if name not in found]
        if unknown:
            raise ArgumentError(
                "hidden_features",
                expected=f"layers among {', '.join(found)}",
                got=", ".join(map(repr, unknown)),
            )
        return {name: found[name] for name in names} if names else found

    def source_code(
        self, input_shape: Sequence[int], batch_size: int = 1, form: Form = "c"
    ) -> str:
        """Return the source code of a prediction: one C file with the weights, or the loop nests that are compiled.

        Args:
            input_shape: Shape of one example.
            batch_size: Number of examples of a call.
            form: "c" for C, "loops" for the loop nests.

        >>> from deltarule import nn
        >>> "int predict(" in nn.Linear(3, 2).source_code((3,))
        True
        """
        return prediction_source(self, input_shape, batch_size, form)

    def source(
        self, input_shape: Sequence[int], batch_size: int = 1, form: Form = "c"
    ) -> str:
        """Return ``source_code(input_shape, batch_size, form)``; the former name, with a DeprecationWarning."""
        warn_former(f"{type(self).__name__}.source", "source_code")
        return self.source_code(input_shape, batch_size, form)

    def summary(self, input_shape: Sequence[int] | Sequence[Sequence[int]]) -> Summary:
        """Return a table of layers: output shapes and parameters with their arithmetic, flops, receptive field.

        ``input_shape`` is the shape of one example, channels last (a list of shapes for
        several inputs). If shapes do not fit, the table ends at that layer and says
        what would fit; no error is raised.

        >>> from deltarule import nn
        >>> [row.output for row in nn.Sequential(nn.Linear(2, 3), nn.ReLU()).summary((2,)).rows]
        [(2,), (3,), (3,)]
        """
        return summarize(self, input_shape)

    # ---------------------------------------------------------------- training

    @property
    def last_loss(self) -> Loss | None:
        """The loss of the last ``fit``, which defines what the outputs mean."""
        return self._own.loss

    @last_loss.setter
    def last_loss(self, loss: Loss | None) -> None:
        self._own.loss = loss

    @property
    def last_history(self) -> History | None:
        """The history of the last ``fit``."""
        return self._own.history

    @last_history.setter
    def last_history(self, history: History | None) -> None:
        self._own.history = history

    @checks_flags
    def fit(
        self,
        inputs: Any,
        targets: Any,
        *,
        loss: str | Loss,
        optimizer: str | Optimizer = "adam",
        epochs: int = 10,
        batch_size: int = 32,
        validation_data: Any = None,
        validation_split: float = 0.0,
        metrics: Sequence[MetricLike] = (),
        augment: Augment = None,
        regularizers: Sequence[Regularizer] = (),
        callbacks: Sequence[Callback] = (),
        class_weight: ClassWeight = None,
        sample_weight: Any = None,
        seed: int = 0,
        shuffle: bool = True,
        device: str = "cpu",
        threads: int | None = None,
        verbose: int = 1,
        checkpoint: str | Path | None = None,
        checkpoint_every: int | None = None,
        resume: bool = False,
        progress: Progress | None = None,
    ) -> History:
        """Train on arrays and return the history.

        The loss is kept as ``last_loss``, for ``evaluate`` and ``predict_proba``; the
        history as ``last_history``. The arguments and errors are those of
        ``deltarule.train.fit``.

        >>> from deltarule import nn, optim
        >>> model = nn.Linear(1, 1)
        >>> history = model.fit(
        ...     [[0.0], [1.0], [2.0]],
        ...     [[1.0], [3.0], [5.0]],
        ...     loss="mean_squared_error",
        ...     optimizer=optim.SGD(learning_rate=0.3),
        ...     epochs=60,
        ...     device="reference",
        ...     verbose=0,
        ... )
        >>> model.weight.numpy().round(2).tolist(), model.bias.numpy().round(2).tolist()
        ([[2.0]], [1.0])
        """
        self._own.loss = losses.get(loss)
        self._own.history = train.fit(
            self,
            inputs,
            targets,
            loss=self._own.loss,
            optimizer=optimizer,
            epochs=epochs,
            batch_size=batch_size,
            validation_data=validation_data,
            validation_split=validation_split,
            metrics=metrics,
            augment=augment,
            regularizers=regularizers,
            callbacks=callbacks,
            class_weight=class_weight,
            sample_weight=sample_weight,
            seed=seed,
            shuffle=shuffle,
            device=device,
            threads=threads,
            verbose=verbose,
            checkpoint=checkpoint,
            checkpoint_every=checkpoint_every,
            resume=resume,
            progress=progress,
        )
        return self._own.history

    def evaluate(
        self,
        inputs: Any,
        targets: Any,
        loss: str | Loss | None = None,
        metrics: Sequence[MetricLike] = (),
        batch_size: int = 256,
        device: str = "cpu",
        threads: int | None = None,
        sample_weight: Any = None,
    ) -> dict[str, float]:
        """Return loss (by default that of the last ``fit``) and metrics in inference mode; see ``train.evaluate``.

        >>> from deltarule import nn
        >>> model = nn.Linear(2, 1, init="zeros")
        >>> model.evaluate([[1.0, 2.0]], [[3.0]], loss="mean_squared_error", device="reference")
        {'loss': 9.0}
        """
        resolved = self._loss_or_last("evaluate", loss)
        return train.evaluate(
            self,
            inputs,
            targets,
            resolved,
            metrics,
            batch_size,
            device,
            threads,
            sample_weight,
        )

    def predict(
        self,
        inputs: Any,
        batch_size: int = 256,
        device: str = "cpu",
        threads: int | None = None,
    ) -> Array:
        """Return the outputs for all inputs in inference mode: scores if the loss takes scores.

        >>> from deltarule import nn
        >>> nn.Linear(2, 3, init="zeros").predict([[1.0, 2.0]], device="reference").tolist()
        [[0.0, 0.0, 0.0]]
        """
        return train.predict(self, inputs, batch_size, device, threads=threads)

    def predict_proba(
        self,
        inputs: Any,
        loss: str | Loss | None = None,
        batch_size: int = 256,
        device: str = "cpu",
        threads: int | None = None,
    ) -> Array:
        """Return probabilities: the softmax or sigmoid implied by the loss of the last ``fit`` (or by ``loss``).

        >>> from deltarule import nn
        >>> model = nn.Linear(2, 4, init="zeros")
        >>> model.predict_proba([[1.0, 2.0]], loss="cross_entropy", device="reference").tolist()
        [[0.25, 0.25, 0.25, 0.25]]
        """
        resolved = self._loss_or_last("predict_proba", loss)
        return train.predict(
            self, inputs, batch_size, device, loss=resolved, threads=threads
        )

    def _loss_or_last(self, where: str, loss: str | Loss | None) -> Loss:
        if loss is not None:
            return losses.get(loss)
        if self._own.loss is None:
            raise ArgumentError(
                where,
                expected="a fitted model, or a loss",
                got="neither",
                hint=f'Write model.{where}(…, loss="cross_entropy").',
            )
        return self._own.loss

    # ---------------------------------------------------------------- printing and saving

    def save(self, path: str | Path) -> None:
        """Write the model to one file, atomically; ``dr.load(path)`` loads it.

        >>> import tempfile
        >>> import deltarule as dr
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     dr.nn.Linear(2, 3).save(f"{folder}/model.safetensors")
        ...     model = dr.load(f"{folder}/model.safetensors")
        >>> model
        Linear(2→3)
        """
        document.write(self, path)

    def config(self) -> dict[str, Any] | None:
        """Return plain data from which ``nn.saving.build`` rebuilds the architecture; None for user-defined classes.

        >>> from deltarule import nn
        >>> nn.ReLU().config()
        {'class': 'ReLU', 'arguments': {}}
        """
        arguments = self.arguments()
        return (
            None
            if arguments is None
            else {"class": type(self).__name__, "arguments": arguments}
        )

    @classmethod
    def from_config(cls, children: dict[str, Any], arguments: dict[str, Any]) -> Module:
        """Return the module of a ``config``: its submodules by name, and its constructor arguments.

        >>> from deltarule import nn
        >>> nn.Linear.from_config({}, {"in_features": 2, "out_features": 3})
        Linear(2→3)
        """
        known = with_current_names(signature(cls.__init__).parameters, arguments)
        module: Module = cls(**children, **known)
        return module

    def __repr__(self) -> str:
        children = self.named_children()
        if not children:
            return self.label()
        lines = [
            f"  {name}: {child!r}".replace("\n", "\n  ") for name, child in children
        ]
        return "\n".join([f"{type(self).__name__}(", *lines, ")"])


def _check_mode(mode: Mode) -> Mode:
    if mode not in {"training", "inference"}:
        raise ArgumentError(
            "mode", expected="'training' or 'inference'", got=repr(mode)
        )
    return mode
