"""The base class of neural learners: scikit-learn's conventions around a network, a loss and ``train.fit``.

Inputs of float32 are computed in float32, all others in float64, unless ``dtype`` is
given. Sparse inputs become dense: at once in ``fit``, in blocks of rows in ``predict``.
"""

from __future__ import annotations

import copy
import dataclasses
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted, validate_data

from deltarule import nn, optim, train
from deltarule.errors import ArgumentError
from deltarule.learners import base
from deltarule.learners.base import Array, above, at_least, require
from deltarule.learners.neural_network import architectures, checks
from deltarule.learners.neural_network.parameters import (
    OptimizerParameters,
    PerceptronParameters,
)
from deltarule.learners.neural_network.pickling import register
from deltarule.learners.neural_network.snapshots import Snapshots
from deltarule.learners.neural_network.stream import Stream
from deltarule.losses import L2, Loss
from deltarule.optim import Optimizer
from deltarule.train import Callback, History
from deltarule.train.steps.step import Regularizer

register()
_PREDICTION_BATCH_SIZES = (1, 4, 16, 64, 256)  # few, so that few programs are compiled
_MODULE_RATE, _LINEAR_RATE = 1e-3, 0.02  # learning_rate="auto"
_BLOCK_ROWS = 4096  # sparse rows that are made dense at a time


@dataclasses.dataclass(frozen=True)
class Job:
    """The training that ``fit`` of a learner requests: validated arrays and options."""

    inputs: Array
    targets: Array
    loss: Loss
    weights: Array | None  # None where all are equal
    seed: int
    validation: Any
    fraction: float  # of the examples, held out for validation
    callbacks: list[Callback]
    optimizer: Optimizer
    regularizers: tuple[Regularizer, ...]
    batch_size: int


class Network(OptimizerParameters, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A network with scikit-learn's ``fit``, ``partial_fit`` and ``predict``.

    Attributes:
        network_: The trained module, which can be explained, summarised and saved.
        history_: Metrics of each epoch.
        loss_curve_: Training loss of each epoch.
        validation_curve_: Validation loss of each epoch; None without validation data.
        n_iter_: Number of epochs.
    """

    loss: Any
    shuffle: bool
    metrics: Sequence[Any]
    regularizers: Sequence[Any]
    callbacks: Sequence[Any]
    early_stopping: bool
    validation_fraction: float
    monitor: str
    patience: int
    warm_start: bool
    verbose: int
    network_: nn.Module
    history_: History
    _stream: Stream | None
    _any_rank: ClassVar[bool] = False  # whether examples may have several axes
    _form: ClassVar[tuple[str, ...]] = ()  # parameters of the architecture

    # ---------------------------------------------------------------- implemented by learners

    @abstractmethod
    def _build(self, shape: tuple[int, ...], n_outputs: int) -> nn.Module:
        """Return a network for examples of a shape."""

    def _planned(
        self, x: Any, y: Any, sample_weight: Any = None, validation_data: Any = None
    ) -> Job:
        """Validate the data, build the network, and return the training job."""
        del x, y, sample_weight, validation_data
        raise ArgumentError(
            "learners fitted together",
            expected="classifiers or regressors",
            got=type(self).__name__,
        )

    def _penalties(self) -> list[Any]:
        alpha = getattr(self, "alpha", 0.0)
        require(self, "alpha", at_least(0), "a number ≥ 0") if alpha else None
        return [L2(strength=float(alpha), half=True)] if alpha else []

    # ---------------------------------------------------------------- data

    def _features(
        self, x: Any, y: Any = "no_validation", *, reset: bool, **options: Any
    ) -> tuple[Any, Any]:
        """Return validated X, dense if it is for ``fit``, and validated y if there is one."""
        options |= {
            "accept_sparse": "csr",
            "dtype": (np.float64, np.float32),
            "allow_nd": self._any_rank,
        }
        if not reset:
            check_is_fitted(self, "network_")
        alone = isinstance(y, str)
        if alone and not reset and base.is_plain(self, x, (np.float64, np.float32)):
            checks.check_shape(self, self._shape(x), self._shape_)
            return x, None
        found = validate_data(
            self, x, *([] if alone else [base.dense_targets(y)]), reset=reset, **options
        )
        checked, targets = (found, None) if alone else found
        if not alone:
            checks.check_size(self, checked, self._kind(checked))
        if reset and self._needs_scale():
            checks.warn_of_scale(self, checked)
        if not reset:
            checks.check_shape(self, self._shape(checked), self._shape_)
        if sparse.issparse(checked) and not alone:
            checked = checked.toarray()
        return checked, targets

    def _needs_scale(self) -> bool:
        """Return whether inputs reach weights that are initialized for features of about 1."""
        return True

    def _shape(self, x: Array) -> tuple[int, ...]:
        """Return the shape of one example as the network sees it."""
        return tuple(x.shape[1:])

    def _kind(self, x: Array) -> str:
        if self.dtype not in {"auto", "float32", "float64"}:
            raise ArgumentError(
                f"{type(self).__name__} dtype",
                expected="'auto', 'float32' or 'float64'",
                got=repr(self.dtype),
            )
        return str(x.dtype) if self.dtype == "auto" else self.dtype

    # ---------------------------------------------------------------- fitting

    def _goes_on(self) -> bool:
        """Return whether ``fit`` continues with the present network; raise ArgumentError where it cannot."""
        checks.check_settings(self)
        if not self.warm_start or not hasattr(self, "network_"):
            return False
        checks.check_form(self, self._form_)
        return True

    def _prepare(self, x: Array, n_outputs: int, fresh: bool) -> int:
        """Build the network unless there is one to continue with; return the seed."""
        seed = base.seed(self.random_state)
        if fresh or not hasattr(self, "network_"):
            self._shape_, self._n_outputs = self._shape(x), n_outputs
            self._form_ = checks.form_of(self, (*self._form, "dtype"))
            self.network_ = self._made(seed, n_outputs, self._kind(x))
        return seed

    def _made(self, seed: int, n_outputs: int, kind: str) -> nn.Module:
        network = self._build(self._shape_, n_outputs).astype(kind)
        network.initialize(seed)
        return network

    def _job(
        self,
        x: Array,
        targets: Array,
        loss: Loss,
        weights: Array | None,
        seed: int,
        validation: Any = None,
    ) -> Job:
        """Return the training job."""
        self._stream = None
        checks.check_settings(self)
        callbacks = [
            c if isinstance(c, Snapshots) else copy.deepcopy(c) for c in self.callbacks
        ]
        fraction = 0.0
        if self.early_stopping:
            callbacks.insert(0, train.EarlyStopping(self.monitor, self.patience))
            fraction = self.validation_fraction if validation is None else 0.0
        n_training = len(x) - round(fraction * len(x))
        return Job(
            x.reshape(-1, *self._shape_),
            targets,
            loss,
            _uneven(weights),
            seed,
            validation,
            fraction,
            callbacks,
            self._optimizer(),
            (*self._penalties(), *self.regularizers),
            self._batch_size(n_training),
        )

    def _execute(self, job: Job) -> Self:
        """Run a training job and record its history."""
        with checks.own_words(self):
            history = train.fit(
                self.network_,
                job.inputs,
                job.targets,
                loss=job.loss,
                optimizer=job.optimizer,
                epochs=self.epochs,
                batch_size=job.batch_size,
                validation_data=job.validation,
                validation_split=job.fraction,
                metrics=self.metrics,
                callbacks=job.callbacks,
                sample_weight=job.weights,
                regularizers=job.regularizers,
                seed=job.seed,
                shuffle=self.shuffle,
                device=self.device,
                threads=self.threads,
                verbose=self.verbose,
            )
        return self._trained(history)

    def _trained(self, history: History) -> Self:
        """Record the history of a training run."""
        continued = self.warm_start and hasattr(self, "history_")
        before = self.history_.epochs if continued else []
        self.history_ = history
        self.history_.epochs[:0] = before
        self.n_iter_ = len(self.history_.epochs)
        self.loss_curve_ = self.history_.series("loss")
        self.validation_curve_ = (
            self.history_.series("val_loss")
            if "val_loss" in self.history_.names
            else None
        )
        return self

    def _optimizer(self) -> Any:
        optimizer, rate = optim.get(self.optimizer), self._rate()
        if rate is None:
            return optimizer
        return dataclasses.replace(optimizer, learning_rate=rate)

    def _rate(self) -> float | None:
        """Return the learning rate; None for the default of the optimiser."""
        if self.learning_rate is None:
            return None
        return float(
            require(
                self,
                "learning_rate",
                above(0),
                "a number > 0, or None for the optimiser's default",
            )
        )

    def _batch_size(self, n: int) -> int:
        """Return the batch size, increased where batch normalisation would meet a batch of one example."""
        size = min(self.batch_size, n)
        if any(
            isinstance(module, nn.BatchNorm)
            for _, module in self.network_.named_modules()
        ):
            while size < n and n % size == 1:
                size += 1
        return size

    def _fit_part(
        self, x: Array, targets: Array, loss: Loss, weights: Array, seed: int
    ) -> None:
        """Make one pass over a chunk with the optimiser state of the previous one."""
        checks.check_settings(self)
        stream = getattr(self, "_stream", None)
        if stream is None:
            penalties = [*self._penalties(), *self.regularizers]
            stream = Stream(
                self.network_,
                loss,
                self._optimizer(),
                penalties,
                self.device,
                self.threads,
                seed,
            )
            self._stream = stream
        inputs = x.reshape(-1, *self._shape_)
        value = stream.run(
            inputs, targets, weights, self._batch_size(len(x)), self.shuffle
        )
        self.loss_curve_ = [*getattr(self, "loss_curve_", []), value]
        self.n_iter_ = len(self.loss_curve_)

    # ---------------------------------------------------------------- prediction

    def _outputs(
        self, x: Any, network: nn.Module | None = None, loss: Loss | None = None
    ) -> Array:
        """Return the outputs of the network, or with a loss its predictions, in blocks of a few fixed sizes."""
        model = self.network_ if network is None else network
        if sparse.issparse(x):
            blocks = [
                x[row : row + _BLOCK_ROWS].toarray()
                for row in range(0, x.shape[0], _BLOCK_ROWS)
            ]
            return np.concatenate(
                [self._outputs(block, network, loss) for block in blocks]
            )
        shape = (
            self._shape_
            if network is None or network is self.network_
            else tuple(x.shape[1:])
        )
        sizes = _PREDICTION_BATCH_SIZES
        size = next((size for size in sizes if len(x) <= size), sizes[-1])
        missing = -len(x) % size
        rows = (
            x if not missing else np.concatenate([x, np.repeat(x[:1], missing, axis=0)])
        )
        found = train.predict(
            model,
            rows.reshape(-1, *shape),
            batch_size=size,
            device=self.device,
            loss=loss,
        )
        return found[: len(x)]

    # ---------------------------------------------------------------- conventions

    def __getstate__(self) -> dict[str, Any]:
        """Omit compiled programs: after unpickling, ``partial_fit`` starts with a fresh optimiser state."""
        state = dict(super().__getstate__())
        state.pop("_stream", None)
        return state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.three_d_array = self._any_rank
        return tags


def pair(learner: Any, validation_data: Any) -> tuple[Any, Any]:
    """Return (X, y) of validation data; raise ArgumentError for anything else.

    >>> from deltarule.learners import MLPRegressor
    >>> pair(MLPRegressor(), ([[1.0]], [2.0]))
    ([[1.0]], [2.0])
    """
    if not isinstance(validation_data, (tuple, list)) or len(validation_data) != 2:
        raise ArgumentError(
            f"{type(learner).__name__} validation_data",
            expected="a pair (X, y)",
            got=type(validation_data).__name__,
        )
    return validation_data[0], validation_data[1]


def _uneven(weights: Array | None) -> Array | None:
    """Return the weights, or None where all are equal."""
    return None if weights is None or (weights == weights[0]).all() else weights


def relative(weights: Array) -> Array:
    """Return weights scaled to mean 1, so that the loss is Σwᵢlᵢ/Σwᵢ: weight 2 equals the example twice.

    >>> relative(np.array([1.0, 3.0])).tolist()
    [0.5, 1.5]
    """
    return np.asarray(weights * (len(weights) / weights.sum()))


@dataclasses.dataclass(kw_only=True, eq=False, repr=False)
class Perceptron(PerceptronParameters, Network):
    """A learner whose network is a multilayer perceptron."""

    _form = ("hidden_sizes", "activation", "dropout", "batch_norm")

    def _build(self, shape: tuple[int, ...], n_outputs: int) -> nn.Module:
        return architectures.perceptron(
            type(self).__name__,
            shape[0],
            self.hidden_sizes,
            n_outputs,
            self.activation,
            self.dropout,
            self.batch_norm,
        )


Factory = Callable[[tuple[int, ...], int], nn.Module]


@dataclasses.dataclass(kw_only=True, eq=False, repr=False)
class WrappedNetwork(Network):
    """A learner whose ``module`` is a module (copied with its values), a function that builds one, or None."""

    module: nn.Module | Factory | None = dataclasses.field(default=None, kw_only=False)
    learning_rate: float | str | None = "auto"
    _any_rank = True
    _form = ("module",)

    def _needs_scale(self) -> bool:
        """Return whether no module is known to standardize the inputs."""
        if not isinstance(self.module, nn.Module):
            return self.module is None
        return not any(
            isinstance(part, nn.Standardize) for _, part in self.module.named_modules()
        )

    def _rate(self) -> float | None:
        """Return the learning rate; "auto" is larger for the linear layer, whose objective is convex."""
        if isinstance(self.learning_rate, str):
            require(
                self,
                "learning_rate",
                lambda rate: rate == "auto",
                "a number > 0, 'auto', or None",
            )
            return _LINEAR_RATE if self.module is None else _MODULE_RATE
        return super()._rate()

    def _build(self, shape: tuple[int, ...], n_outputs: int) -> nn.Module:
        if self.module is None:
            flat = int(np.prod(shape))
            return nn.Sequential(
                *([] if len(shape) == 1 else [nn.Flatten()]), nn.Linear(flat, n_outputs)
            )
        if not callable(self.module):
            raise self._no_module(self.module)
        made = (
            copy.deepcopy(self.module)
            if isinstance(self.module, nn.Module)
            else self.module(shape, n_outputs)
        )
        if not isinstance(made, nn.Module):
            raise self._no_module(made)
        return made

    def _no_module(self, made: Any) -> ArgumentError:
        expected = "a Module, or a function (input_shape, n_outputs) → Module"
        return ArgumentError(
            f"{type(self).__name__} module", expected=expected, got=repr(made)
        )

    def _made(self, seed: int, n_outputs: int, kind: str) -> nn.Module:
        """Return the network; a given module keeps its values, and its element type unless ``dtype`` is given."""
        if not isinstance(self.module, nn.Module):
            return super()._made(seed, n_outputs, kind)
        network = self._build(self._shape_, n_outputs)
        return network if self.dtype == "auto" else network.astype(kind)
