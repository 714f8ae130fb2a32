"""Activation layers. Derivatives at kinks are those of ``deltarule.graph.functions.activations``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, final

from deltarule.arguments import check_calls
from deltarule.errors import ArgumentError, ShapeError
from deltarule.graph import functions as f
from deltarule.graph.activation import Activation as Declaration
from deltarule.graph.activation import declared
from deltarule.graph.function import Constructor
from deltarule.nn import init as initialisers
from deltarule.nn.check import whole_number
from deltarule.nn.init import Initializer
from deltarule.nn.layer_cost import LayerCost
from deltarule.nn.module.arguments import constructor_arguments
from deltarule.nn.module.module import Module
from deltarule.renamed import former_names
from deltarule.shapes import Shape, count, show
from deltarule.tensor import functional
from deltarule.tensor.activations import Approximation, floating, is_approximate
from deltarule.tensor.functional import TensorLike
from deltarule.tensor.tensor import Tensor

__all__ = [
    "ELU",
    "GELU",
    "SELU",
    "Activation",
    "BipolarStep",
    "Function",
    "Identity",
    "LeakyReLU",
    "LogSigmoid",
    "LogSoftmax",
    "PReLU",
    "ReLU",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Step",
    "Tanh",
    "bipolar_step",
    "step",
]


def step(x: TensorLike) -> Tensor:
    """Heaviside step: 1 where x ≥ 0, 0 elsewhere; derivative 0, so no gradient flows through it.

    >>> step([-1.0, 0.0, 2.0]).tolist()
    [0.0, 1.0, 1.0]
    """
    given = functional.as_tensor(x)
    return (given >= 0).astype(given.dtype if given.dtype.is_float else "float32")


def bipolar_step(x: TensorLike) -> Tensor:
    """Bipolar step: +1 where x ≥ 0, −1 elsewhere; derivative 0 (Rosenblatt 1958).

    At 0 it is +1, as the perceptron's decision rule is; ``dr.sign`` is 0 there.

    >>> bipolar_step([-3.0, 0.0]).tolist()
    [-1.0, 1.0]
    """
    return step(x) * 2 - 1


class Activation(Module):
    """Base class of functions of each element (or of a vector) without weights.

    >>> class Square(Activation):
    ...     def forward(self, x):
    ...         return x * x
    >>> Square()([3.0]).tolist()
    [9.0]
    """

    def layer_cost(self, inputs: Shape, output: Shape) -> LayerCost:  # noqa: ARG002  # common signature
        """Return the cost: one evaluation per element."""
        return LayerCost(flops=count(output))

    def initializer(self) -> Initializer:
        """Return the initialiser of weights that feed this activation: Xavier, unless it is a rectifier.

        >>> ReLU().initializer().config()["scale"]
        2.0
        """
        return initialisers.xavier_uniform()

    def label(self) -> str:
        """Return the name with the settings."""
        settings = ", ".join(
            f"{key}={value}" for key, value in (self.arguments() or {}).items()
        )
        return f"{type(self).__name__}({settings})" if settings else type(self).__name__


_INITIALIZERS: dict[str, Callable[[], Initializer]] = {
    "he": initialisers.he_normal,
    "lecun": initialisers.lecun_normal,
    "xavier": initialisers.xavier_uniform,
}


class DeclaredActivation(Activation):
    """Base class of layers whose function is declared by ``deltarule.graph.activation.activation``.

    The declaration gives the example of the docstring and the initialiser; attributes of the function are attributes
    of the layer.

    >>> class Bent(DeclaredActivation, function=f.mish):
    ...     "x·tanh(softplus(x))."
    >>> [round(v, 4) for v in Bent()([0.0, 2.0]).tolist()]
    [0.0, 1.944]
    """

    declaration: ClassVar[Declaration]
    layers: ClassVar[dict[str, type[Activation]]] = {}  # by class name, for files

    def __init_subclass__(cls, *, function: Constructor | None = None) -> None:
        """Read the declaration of the function that the layer computes."""
        super().__init_subclass__()
        if function is None:
            return
        known = cls.layers.setdefault(cls.__name__, cls)
        if known.__module__ != cls.__module__:
            raise ArgumentError(
                f"class {cls.__name__}",
                expected="another name, since files refer to layers by name",
                got=f"that of {known.__module__}.{known.__name__}",
            )
        cls.layers[cls.__name__] = cls
        cls.declaration = declared(function)
        if not cls.declaration.attributes:
            example = cls.declaration.example(f"{cls.__name__}()")
            cls.__doc__ = f"{cls.__doc__}\n\n    {example}\n    "

    def forward(self, x: Tensor) -> Tensor:
        """Return the function of each element."""
        known = self.declaration
        settings = {name: getattr(self, name) for name in known.attributes}
        return Tensor(known.construct(floating(x), **settings))

    def arguments(self) -> dict[str, Any] | None:
        """Return the constructor arguments as plain data."""
        return constructor_arguments(self, self.argument_attributes)

    def initializer(self) -> Initializer:
        """Return the initialiser of the declaration."""
        return _INITIALIZERS[self.declaration.init]()


@final
class Identity(Activation):
    """The identity x ↦ x.

    >>> Identity()([-1.0, 2.0]).tolist()
    [-1.0, 2.0]
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return x."""
        return x

    def layer_cost(self, inputs: Shape, output: Shape) -> LayerCost:  # noqa: ARG002  # common signature
        """Return the cost: nothing is computed."""
        return LayerCost()


@final
class Step(Activation):
    """Heaviside step: 1 where x ≥ 0, 0 elsewhere; derivative 0.

    >>> Step()([-1.0, 0.0]).tolist()
    [0.0, 1.0]
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return 𝟙(x ≥ 0)."""
        return step(x)


@final
class BipolarStep(Activation):
    """Bipolar step: +1 where x ≥ 0, −1 elsewhere; derivative 0 (Rosenblatt 1958).

    At 0 it is +1, as the perceptron's decision rule is; ``dr.sign`` is 0 there.

    >>> BipolarStep()([-3.0, 0.0]).tolist()
    [-1.0, 1.0]
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return ±1."""
        return bipolar_step(x)


@final
class ReLU(DeclaredActivation, function=f.relu):
    """max(0, x); derivative 𝟙(x > 0), 0 at the kink (Nair and Hinton 2010)."""


@final
class LeakyReLU(DeclaredActivation, function=f.leaky_relu):
    """x for x > 0, negative_slope·x otherwise; derivative ``negative_slope`` at the kink (Maas et al. 2013).

    >>> LeakyReLU(0.5)([-1.0, 2.0]).tolist()
    [-0.5, 2.0]
    """

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = float(negative_slope)

    def forward(self, x: Tensor) -> Tensor:
        """Return x or negative_slope·x."""
        return functional.leaky_relu(x, self.negative_slope)

    def initializer(self) -> Initializer:
        """Return He initialization with the factor 2/(1 + negative_slope²)."""
        return initialisers.he_normal(slope=self.negative_slope)


@final
class PReLU(Activation):
    """x for x > 0, α·x otherwise, with α learned: one, or one per channel (He et al. 2015).

    ∂L/∂α = Σ 𝟙(x ≤ 0)·x·∂L/∂f. The parameter ``alpha`` has shape (n_channels,), on the
    last axis, and the initial value given.

    >>> PReLU(alpha=0.5)([-1.0, 2.0]).tolist()
    [-0.5, 2.0]
    """

    alpha: Tensor
    argument_attributes: ClassVar[Mapping[str, str | None]] = {"alpha": "first_alpha"}

    def __init__(self, n_channels: int = 1, alpha: float = 0.25) -> None:
        self.n_channels = whole_number(n_channels, "n_channels", 1)
        self.first_alpha = float(alpha)
        self.declare("alpha", (n_channels,), initialisers.constant(alpha))

    def forward(self, x: Tensor) -> Tensor:
        """Return x or α·x; raises ShapeError if the last axis is not n_channels."""
        if self.n_channels > 1 and (x.ndim == 0 or x.shape[-1] != self.n_channels):
            raise ShapeError(
                "PReLU", expected=f"{self.n_channels} channels", got=show(x.shape)
            )
        return functional.prelu(x, self.alpha)

    def layer_cost(self, inputs: Shape, output: Shape) -> LayerCost:  # noqa: ARG002  # common signature
        """Return the cost: one α per channel, one evaluation per element."""
        return LayerCost(parameters=str(self.n_channels), flops=count(output))

    def initializer(self) -> Initializer:
        """Return He initialization with the factor 2/(1 + α²)."""
        return initialisers.he_normal(slope=self.first_alpha)


@final
class ELU(DeclaredActivation, function=f.elu):
    """x for x > 0, α(eˣ − 1) otherwise; derivative α at the kink (Clevert et al. 2016).

    >>> [round(v, 4) for v in ELU()([-1.0, 2.0]).tolist()]
    [-0.6321, 2.0]
    """

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = float(alpha)


@final
class SELU(DeclaredActivation, function=f.selu):
    """λ·ELU(x; α) with self-normalising constants; uses LeCun initialization (Klambauer et al. 2017)."""


@final
class GELU(DeclaredActivation, function=f.gelu):
    """x·Φ(x), with Φ the normal distribution function (Hendrycks and Gimpel 2016).

    ``approximate="tanh"`` (or True) selects the tanh approximation.

    >>> [round(v, 4) for v in GELU()([-1.0, 1.0]).tolist()]
    [-0.1587, 0.8413]
    """

    def __init__(self, approximate: Approximation = "none") -> None:
        self.approximate = is_approximate(approximate, "GELU approximate")


@final
class SiLU(DeclaredActivation, function=f.silu):
    """x·σ(x), also called Swish (Ramachandran et al. 2017)."""


@final
class Softplus(DeclaredActivation, function=f.softplus):
    """ln(1 + eˣ), a smooth ReLU; derivative σ(x) (Dugas et al. 2001)."""


@final
class Sigmoid(DeclaredActivation, function=f.sigmoid):
    """The logistic function 1/(1 + e⁻ˣ); derivative σ(1 − σ)."""


@final
class LogSigmoid(DeclaredActivation, function=f.log_sigmoid):
    """ln σ(x); derivative σ(−x)."""


@final
class Tanh(Activation):
    """tanh x = 2σ(2x) − 1; derivative 1 − tanh² x.

    >>> Tanh()([0.0]).tolist()
    [0.0]
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return tanh x."""
        return functional.tanh(x)


@final
class Softmax(Activation):
    """eˣ / Σ eˣ along an axis (Goodfellow et al. 2016, section 6.2.2.3).

    Do not use it before a cross-entropy, which takes scores (logits).

    >>> Softmax()([[1.0, 1.0]]).tolist()
    [[0.5, 0.5]]
    """

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def forward(self, x: Tensor) -> Tensor:
        """Return probabilities."""
        return functional.softmax(x, self.axis)


@final
class LogSoftmax(Activation):
    """x − ln Σ eˣ along an axis.

    >>> [round(v, 4) for v in LogSoftmax()([1.0, 1.0]).tolist()]
    [-0.6931, -0.6931]
    """

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def forward(self, x: Tensor) -> Tensor:
        """Return log-probabilities."""
        return functional.log_softmax(x, self.axis)


@final
class Function(Module):
    """A layer of any function of tensors, without weights.

    It is not saved with a model: the function is code, not data.

    Args:
        function: A function of one or more tensors.
        name: Name in summaries; that of the function by default.

    >>> Function(lambda x: x**3, "cube")([2.0]).tolist()
    [8.0]
    """

    def __init__(self, function: Callable[..., Tensor], name: str = "") -> None:
        if not callable(function):
            raise ArgumentError(
                "Function", expected="a function of tensors", got=repr(function)
            )
        self.function = function
        self.name = name or getattr(function, "__name__", "function")

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return function(*inputs)."""
        return self.function(*inputs)

    def arguments(self) -> None:
        """Return None: a function is code."""

    def label(self) -> str:
        """Return the function's name."""
        return f"Function({self.name})"


check_calls(__name__)

if not TYPE_CHECKING:
    __getattr__ = former_names(  # for pickles
        __name__,
        {"Sign": f"{__name__}:BipolarStep", "sign": f"{__name__}:bipolar_step"},
    )
