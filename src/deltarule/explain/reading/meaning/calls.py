"""Calls in a formula: functions of the table, those of the network, and activations by a general name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from deltarule.errors import ArgumentError, ShapeError
from deltarule.explain.formula.term import Apply, Symbol
from deltarule.explain.reading.known_functions import FUNCTIONS, Function, function_key
from deltarule.explain.reading.meaning import values as v
from deltarule.explain.reading.meaning.network_functions import (
    NOT_ACTIVATIONS,
    OwnFunctions,
    derived,
    is_about,
)
from deltarule.explain.reading.meaning.values import Value
from deltarule.explain.reading.syntax import (
    Called,
    Letter,
    Literal,
    Named,
    Negative,
    Norm,
)
from deltarule.graph import algebra, build
from deltarule.graph.node import Node
from deltarule.graph.op import Op
from deltarule.shapes import show

_ACTIVATION_OPS = {Op.TANH, Op.SIN, Op.COS, Op.ERF}


class Calls(OwnFunctions):
    """Evaluate calls of functions."""

    def value(self, tree: Called) -> Value:
        """Return the value of a call."""
        name = tree.function
        if name == "activation":
            return self._activation(tree)
        if name in {"unit", "one_hot", "I"}:
            return self._special(tree)
        if not tree.arguments:
            return self._activation(tree, self._network_activation(tree, name))
        arguments = [self.context.value(argument) for argument in tree.arguments]
        own = self.own(tree, arguments)
        if own is not None:
            return self._powered(tree, own)
        key = function_key(name)
        if name == "vec" and tree.power is not None:
            raise ShapeError(
                "vec⁻¹", expected="a vector of this network", got="another"
            )
        if len(arguments) == 1 and key is not None:
            return self._powered(tree, self._known(tree, FUNCTIONS[key], arguments[0]))
        return self._of_several(tree, arguments)

    def _powered(self, tree: Called, value: Value) -> Value:
        """Return tanh²(z): the square of each value."""
        if tree.power is None or tree.function == "vec":
            return value
        exponent = self.context.value(tree.power)
        if isinstance(tree.power, (Negative,)) and isinstance(tree.power.body, Literal):
            raise ArgumentError(
                f"function at position {tree.at + 1}",
                expected="a positive power of a function",
                got=f"{tree.function}^−{tree.power.body.value}",
                hint="Write 1/f(x), or the inverse function by its name.",
            )
        return v.by_entry(build.power, value, exponent, "power")

    def _known(self, tree: Called, function: Function, argument: Value) -> Value:
        if function.by_entry:
            if argument.identity or argument.mask is not None:
                raise ShapeError(
                    f"function at position {tree.at + 1}", expected="an array", got="I"
                )
            return replace(
                argument, node=derived(function.build, argument.node, tree.primes)
            )
        if tree.primes:
            raise ArgumentError(
                f"function at position {tree.at + 1}",
                expected="the slope of an entry-wise function",
                got=f"{tree.function}′",
            )
        key = function_key(tree.function)
        if tree.lower and key in {"max", "min", "sum", "mean", "softmax"}:
            return self._along(tree, argument, key)
        reductions = {
            "sum": build.sum_over,
            "Sigma": build.sum_over,
            "Σ": build.sum_over,
            "mean": build.mean,
        }
        reductions |= {"max": build.maximum_over, "min": algebra.minimum_over}
        if key in reductions:
            return v.reduced(argument, reductions[key])
        if argument.identity:
            return self._of_identity(tree, argument)
        if argument.indices:
            raise ShapeError(
                f"{tree.function} at position {tree.at + 1}",
                expected="an array",
                got="an entry",
            )
        array = v.squeezed(argument)
        if not array.shape and key != "norm":
            array = replace(array, node=build.reshape(array.node, (1, 1)))
        if (
            key in {"tr", "trace", "logdet", "det", "inv", "inverse", "adj", "chol"}
            and array.shape[0] != array.shape[1]
        ):
            raise ShapeError(
                tree.function, expected="a square matrix", got=show(array.shape)
            )
        if key in {"det", "adj", "adjugate"} and not (
            isinstance(array.shape[0], int) and array.shape[0] <= 4
        ):
            raise ShapeError(
                "det", expected="a matrix of at most 4 rows", got=show(array.shape)
            )
        return Value(function.build(array.node))

    def _of_identity(self, tree: Called, argument: Value) -> Value:
        if function_key(tree.function) == "transpose":
            return argument
        raise ShapeError(tree.function, expected="a matrix of known size", got="I")

    def _along(self, tree: Called, argument: Value, key: str | None) -> Value:
        """Return a reduction along the axes that letters name, or over an index: max_j z_j."""
        reduce = {
            "max": build.maximum_over,
            "min": algebra.minimum_over,
            "mean": build.mean,
        }.get(key or "", build.sum_over)
        result = argument
        for letter in "".join(tree.lower):
            index = self.context.index(letter)
            if index in result.indices:
                place = result.indices.index(index)
                kept = tuple(name for name in result.indices if name != index)
                result = replace(result, node=reduce(result.node, place), indices=kept)
                continue
            axis = v.axis_of(letter, result)
            if axis is not None:
                node = reduce(result.node, axis + len(result.indices), True)
                result = replace(result, node=node, loose=True)
        return result

    def _of_several(self, tree: Called, arguments: Sequence[Value]) -> Value:
        name, where = tree.function, f"{tree.function} at position {tree.at + 1}"
        if name in {"max", "min", "maximum", "minimum"} and len(arguments) == 2:
            pick = build.maximum if name.startswith("max") else build.minimum
            return v.by_entry(pick, arguments[0], arguments[1], where)
        if name in {"outer", "kron"} and len(arguments) == 2:
            return v.matrix_product(arguments[0], v.transposed(arguments[1]), tree.at)
        if name in {"dot", "inner"} and len(arguments) == 2:
            left, right = arguments
            columns = (
                len(left.shape) == 2
                and left.shape == right.shape
                and left.shape[1] == 1
            )
            return v.matrix_product(
                v.transposed(left) if columns else left, right, tree.at
            )
        if name == "matmul" and len(arguments) == 2:
            return v.matrix_product(arguments[0], arguments[1], tree.at)
        if name in {"multiply", "hadamard"} and len(arguments) == 2:
            return v.by_entry(build.multiply, arguments[0], arguments[1], where)
        if name == "power" and len(arguments) == 2:
            return v.by_entry(build.power, arguments[0], arguments[1], where)
        if name == "where" and len(arguments) == 3:
            return self._where(arguments, where)
        setting = tree.arguments[1] if len(arguments) == 2 else None
        if isinstance(setting, Literal) and setting.value in {1, 2}:
            axis = int(setting.value) - 1
            if name in {"sum", "mean"} and len(arguments[0].shape) == 2:
                return _over_axis(name, arguments[0], axis)
            if name == "norm":
                return self.context.value(
                    Norm(tree.arguments[0], str(axis + 1), tree.at)
                )
        raise ArgumentError(
            where, expected="its arguments", got=f"{len(arguments)} arguments"
        )

    def _where(self, arguments: Sequence[Value], where: str) -> Value:
        condition, first, second = arguments
        if condition.mask is not None:
            array = first if first.shape else second
            condition = Value(condition.mask(array.shape))

        def chosen(x: Node, y: Node) -> Node:
            return build.where(build.less(0.5, condition.node), x, y)

        if condition.indices or first.indices or second.indices:
            (c, a, b), order = v.aligned(condition, first, second)
            return Value(build.where(build.less(0.5, c), a, b), order)
        if len(condition.shape) < max(len(first.shape), len(second.shape)):
            (c, a, b), _ = v.aligned(condition, first, second)
            return Value(build.where(build.less(0.5, c), a, b))
        return v.by_entry(chosen, first, second, where)

    def _special(self, tree: Called) -> Value:
        """Return the one-hot vectors of labels, a column of the identity matrix, or an indicator."""
        argument = tree.arguments[0]
        if tree.function == "I":
            return self.context.value(argument)
        if tree.function == "one_hot":
            return self.one_hot(tree, argument)
        if isinstance(argument, Literal) and argument.value == int(argument.value):
            found = self.unit_vector(int(argument.value))
            if found is not None:
                return found
        raise ArgumentError(
            f"e at position {tree.at + 1}",
            expected="a label of the data as its index",
            got=argument.name if isinstance(argument, Letter) else "a number",
            hint="Write δ_{ij} or 𝟙(i = j) for a unit vector with an index.",
        )

    def _activation(
        self, tree: Called, applied: tuple[Apply, Value] | None = None
    ) -> Value:
        """Return f(z) or f′(z) with the activation of this network."""
        if applied is None:
            if not tree.arguments:
                applied = self._network_activation(tree, None)
            else:
                argument = self.context.value(tree.arguments[0])
                applied = (self._activation_of(tree), argument)
        term, argument = applied
        call = Called(term.name, (), tree.primes, at=tree.at)
        value = self.entry_wise(call, [term], [argument])
        if value is None:
            key = function_key(term.name)
            if key is None:
                raise ArgumentError(
                    tree.function, expected="an entry-wise activation", got=term.name
                )
            value = self._known(call, FUNCTIONS[key], argument)
        return self._powered(tree, value)

    def _activations(self) -> list[Apply]:
        held = self.context.vocabulary.functions
        return [
            term
            for terms in held.values()
            for term in terms
            if len(term.parameters) == 1
            and term.name not in NOT_ACTIVATIONS
            and (
                term.body.op in _ACTIVATION_OPS
                or (term.body.op is Op.CALL and term.name not in {"normalize"})
            )
            and not term.name.endswith("_pullback")
        ]

    def _activation_of(self, tree: Called) -> Apply:
        """Return the activation that the network applies to the argument, or its only one."""
        found = self._activations()
        about = [term for term in found if is_about(term, tree.arguments)]
        names = {term.name for term in found}
        if about or len(names) == 1:
            return (about or found)[0]
        raise ArgumentError(
            f"f at position {tree.at + 1}",
            expected="an activation by its name (tanh, ReLU, σ …)",
            got="f" if names else "f, but the network has no activation",
        )

    def _network_activation(
        self, tree: Called, name: str | None
    ) -> tuple[Apply, Value]:
        """Return the only application of an activation, for f′ without an argument."""
        key = function_key(name) if name is not None else None
        found = [
            term
            for term in self._activations()
            if key is None
            or function_key(term.name) == key
            or FUNCTIONS.get(function_key(term.name) or "") is FUNCTIONS[key]
        ]
        symbols = {
            argument: term
            for term in found
            for argument in term.arguments
            if isinstance(argument, Symbol)
        }
        if len(symbols) != 1:
            raise ArgumentError(
                f"{tree.function}′ at position {tree.at + 1}",
                expected="its argument in parentheses",
                got="none",
            )
        ((symbol, term),) = symbols.items()
        return term, self.context.symbol(Named(symbol))


def _over_axis(name: str, argument: Value, axis: int) -> Value:
    """Return sum(X, 1) and mean(X, 2) of MATLAB and Julia, over the rows or the columns."""
    reduce = build.sum_over if name == "sum" else build.mean
    node = reduce(argument.node, axis + len(argument.indices), True)
    return Value(node, argument.indices)
