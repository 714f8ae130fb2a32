"""Activation functions, each declared once: formula, derivative, notation, initialiser, counterparts elsewhere.

The derivative table, the typeset names, the ONNX operators, the modules of ``nn`` and the contract tests read these
declarations; docs/architecture.md says what else a new activation needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from inspect import signature
from typing import Any, Generic, Literal, TypeVar

from deltarule.graph import build
from deltarule.graph.function import FUNCTIONS, Constructor, NamedFunction, named
from deltarule.graph.node import Node

Init = Literal["he", "xavier", "lecun"]
Row = TypeVar("Row")


@dataclass(frozen=True)
class Derivative:
    """The derivative of an activation: the name of the rule, and the pullback (node, ∂L/∂node) → ∂L/∂x.

    >>> slope("(x²)′ = 2x", lambda y: build.multiply(y.sources[0], 2)).rule
    '(x²)′ = 2x'
    """

    rule: str
    pullback: Callable[[Node, Node], Node]


def slope(rule: str, of: Callable[[Node], Node]) -> Derivative:
    """Return the derivative g·f′(x), with f′(x) as a function of the node f(x), whose operand is x.

    >>> slope("(x²)′ = 2x", lambda y: build.multiply(y.sources[0], 2)).rule
    '(x²)′ = 2x'
    """
    return Derivative(rule, lambda y, g: build.multiply(g, of(y)))


@dataclass(frozen=True)
class Notation:
    """How a function is typeset: name(x), name(x; attributes), log name(x), or a power of x.

    >>> Notation("Mish").name
    'Mish'
    """

    name: str = ""
    attributes: tuple[str, ...] = ()
    logarithm: bool = False
    power: str = ""


@dataclass(frozen=True)
class OnnxOperator:
    """The operator of ONNX for a function: its name, the opset that introduced it, and its attributes.

    Attributes:
        name: Name of the operator.
        opset: First opset with this operator.
        attributes: Attribute of the operator → attribute of the function, and the default of the operator.

    >>> OnnxOperator("Mish", 18).opset
    18
    """

    name: str
    opset: int
    attributes: Mapping[str, tuple[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Activation(NamedFunction):
    """An element-wise function of one operand.

    Attributes:
        derivative: The derivative; None to differentiate the expansion.
        notation: How derivations write the function.
        init: The initialiser of weights that feed the activation: He, Xavier or LeCun.
        examples: Arguments and values, rounded to four digits, for examples in docstrings.
        onnx: The operator of ONNX; None if there is none.
        torch: The function of PyTorch, as a dotted name; "" if there is none.
        settings: Values of the attributes, for examples and tests.
        construct: The function that constructs ``CALL`` nodes.

    >>> from deltarule.graph import functions
    >>> declared(functions.mish).init
    'he'
    """

    derivative: Derivative | None
    notation: Notation
    init: Init
    examples: Mapping[float, float]
    onnx: OnnxOperator | None
    torch: str
    settings: tuple[Mapping[str, Any], ...]
    construct: Constructor

    @property
    def attributes(self) -> tuple[str, ...]:
        """The names of the function's attributes."""
        parameters = signature(self.expand).parameters.values()
        return tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)

    def example(self, call: str) -> str:
        """Return a doctest of ``call``, the Python source of the function."""
        given, values = [*self.examples], [*self.examples.values()]
        return f">>> [round(y, 4) for y in {call}({given}).tolist()]\n    {values}"


def activations() -> list[Activation]:
    """Return the declared activations.

    >>> from deltarule.graph import functions
    >>> "mish" in [declared.name for declared in activations()]
    True
    """
    return [made for made in FUNCTIONS.values() if isinstance(made, Activation)]


def activation(
    formula: str,
    *,
    derivative: Derivative | None,
    notation: Notation,
    init: Init,
    examples: Mapping[float, float],
    onnx: OnnxOperator | None = None,
    torch: str = "",
    settings: tuple[Mapping[str, Any], ...] = ({},),
) -> Callable[[Constructor], Constructor]:
    """Declare the decorated expansion as an activation; the result constructs ``CALL`` nodes.

    Args:
        formula: Formula in Unicode.
        derivative: See ``Activation``, as for the other arguments.
        notation: The notation.
        init: The initialiser.
        examples: The examples.
        onnx: The operator of ONNX.
        torch: The function of PyTorch.
        settings: Values of the attributes.

    >>> @activation("x²", derivative=slope("(x²)′ = 2x", lambda y: build.multiply(y.sources[0], 2)),
    ...     notation=Notation(power="2"), init="xavier", examples={3: 9.0})
    ... def square(x):
    ...     return build.multiply(x, x)
    >>> square(build.constant(2.0)), FUNCTIONS.pop("square").formula
    (<square () float32>, 'x²')
    """

    def declare(expand: Constructor) -> Constructor:
        construct = named(formula)(expand)
        base = FUNCTIONS[expand.__name__]
        FUNCTIONS[base.name] = Activation(
            base.name,
            base.formula,
            base.expand,
            base.summary,
            derivative,
            notation,
            init,
            examples,
            onnx,
            torch,
            settings,
            construct,
        )
        return construct

    return declare


def declared(function: Constructor) -> Activation:
    """Return the declaration of an activation.

    >>> from deltarule.graph import functions
    >>> declared(functions.mish).formula
    'x tanh(ln(1 + eˣ))'
    """
    made = FUNCTIONS[function.__name__]
    if not isinstance(made, Activation):
        raise TypeError(f"{made.name} is no declared activation")
    return made


class Rows(Mapping[str, Row], Generic[Row]):
    """A table by name with a row for each declared activation, also for those declared later.

    Args:
        rows: Further rows, and those that replace the ones of activations.
        of: The name and the row of an activation, or None for an activation without a row.

    >>> Rows({"tanh": 1}, lambda a: (a.name, 2))["tanh"]
    1
    """

    def __init__(
        self,
        rows: Mapping[str, Row],
        of: Callable[[Activation], tuple[str, Row] | None],
    ) -> None:
        self._rows, self._of = rows, of
        self._declared: list[Activation] = []
        self._table: dict[str, Row] = dict(rows)

    def _current(self) -> dict[str, Row]:
        declared = activations()
        if declared != self._declared:
            made = (row for row in map(self._of, declared) if row is not None)
            self._declared, self._table = declared, {**dict(made), **self._rows}
        return self._table

    def __getitem__(self, name: str) -> Row:
        return self._current()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._current())

    def __len__(self) -> int:
        return len(self._current())
