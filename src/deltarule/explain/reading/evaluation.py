"""The meaning of a syntax tree: a graph, chosen by the sizes of what stands beside each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from itertools import count

from deltarule.dtypes import DType
from deltarule.errors import ArgumentError, ShapeError
from deltarule.explain.formula.term import matrix_shape
from deltarule.explain.reading.known_functions import inverse
from deltarule.explain.reading.meaning import values as v
from deltarule.explain.reading.meaning.calls import Calls
from deltarule.explain.reading.meaning.derivatives import Chains
from deltarule.explain.reading.meaning.indexing import entry_of
from deltarule.explain.reading.meaning.numbers import number_of, raised
from deltarule.explain.reading.meaning.values import Value
from deltarule.explain.reading.syntax import (
    Addition,
    Blocks,
    Called,
    Choice,
    Constant,
    Differential,
    Entry,
    Expression,
    Index,
    Letter,
    Literal,
    Multiplication,
    Named,
    Negative,
    Norm,
    Power,
    Quotient,
    Related,
    Summed,
    Transposed,
    index_letters,
    regrouped,
)
from deltarule.explain.reading.vocabulary import Vocabulary
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.shapes import Shape, Size

_MOST_FACTORS = 16
_RELATIONS: dict[str, Callable[[Node, Node], Node]] = {
    "<": build.less,
    ">": lambda x, y: build.less(y, x),
    "≤": lambda x, y: build.logical_not(build.less(y, x)),
    "≥": lambda x, y: build.logical_not(build.less(x, y)),
    "=": build.equal,
    "≠": lambda x, y: build.logical_not(build.equal(x, y)),
}


class Evaluation:
    """Evaluate a syntax tree.

    ``sizes`` are those of indices, and ``readings`` what was chosen where the notation leaves a choice: for a product
    with * and for a power, "matrix" or "entry". ``phrases`` are parts of formulas with a meaning of their own.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        dtype: DType,
        sizes: dict[str, Size],
        used: frozenset[str],
        phrases: Mapping[Expression, Node] | None = None,
    ) -> None:
        self.vocabulary = vocabulary
        self.dtype = dtype
        self.sizes = sizes
        self.used = used
        self.readings: dict[tuple[int, int], str] = {}
        self.missing: set[str] = set()
        self.recalled = 0  # phrases of the derivation that were met
        self._phrases = phrases or {}
        self._scope: dict[str, str] = {}
        self._fresh: Iterator[int] = count()
        self._calls = Calls(self)
        self._chains = Chains(self)

    def value(self, tree: Expression) -> Value:
        """Return the value of a tree."""
        if self._phrases and (known := self._phrases.get(tree)) is not None:
            self.recalled += 1
            node = build.cast(known, self.dtype)
            return Value(node, loose=len(known.shape) > 2)
        return self._plain(tree)

    def _plain(self, tree: Expression) -> Value:
        if isinstance(tree, Literal):
            return Value(build.constant(float(tree.value), self.dtype))
        if isinstance(tree, Named):
            return self.symbol(tree)
        if isinstance(tree, Constant):
            return self._constant(tree)
        if isinstance(tree, Letter):
            return self._letter(tree)
        if isinstance(tree, Entry):
            return entry_of(self, tree)
        if isinstance(tree, Negative):
            body = self.value(tree.body)
            return replace(body, node=build.negate(body.node))
        if isinstance(tree, Addition):
            return self._sum(tree)
        if isinstance(tree, Multiplication):
            return self._product(tree)
        if isinstance(tree, Quotient):
            return self._quotient(tree)
        if isinstance(tree, Power):
            return self._power(tree)
        if isinstance(tree, Transposed):
            return v.transposed(v.squeezed(self.value(tree.body)))
        return self._other(tree)

    def inside(self, tree: Expression) -> Value:
        """Return the value of an array whose entry is taken; letters that do not index in it are those of its axes."""
        outer, self.used = self.used, frozenset(index_letters(tree))
        value = self.value(tree)
        self.used = outer
        return value

    def _other(self, tree: Expression) -> Value:
        if isinstance(tree, Called):
            return self._calls.value(tree)
        if isinstance(tree, Norm):
            return self._norm(tree)
        if isinstance(tree, Summed):
            return self._total(tree)
        if isinstance(tree, Related):
            return self._relation(tree)
        if isinstance(tree, Choice):
            return self._choice(tree)
        if isinstance(tree, Differential):
            return self._chains.jacobian(tree)
        if isinstance(tree, Blocks):
            return self._blocks(tree)
        raise TypeError(f"no value of {type(tree).__name__}")

    # ---------------------------------------------------------------- leaves

    def symbol(self, tree: Named) -> Value:
        """Return the value of a symbol, a vector as a column."""
        node = tree.symbol.node
        if tree.symbol.shape not in (node.shape, matrix_shape(node.shape)):
            node = build.reshape(node, tree.symbol.shape)
        return Value(
            build.reshape(build.cast(node, self.dtype), matrix_shape(node.shape))
        )

    def _constant(self, tree: Constant) -> Value:
        one = build.constant(1.0, self.dtype)
        if tree.name == "I":
            return Value(one, identity=True)
        if tree.name == "𝟙":
            return Value(build.reshape(one, (1, 1)), free=(True, False))
        return Value(build.exp(one))

    def _letter(self, tree: Letter) -> Value:
        index = self.index(tree.name)
        size = self.sizes.get(index)
        if size is None:
            self.missing.add(index)
            return Value(build.constant(1.0, self.dtype))
        return Value(build.iota((size,), 0, self.dtype), (index,))

    def placed(self, tree: Called, indices: tuple[Index, ...]) -> Value:
        """Return place(x; 1:2), an array of zeros with x at some places."""
        return self._calls.placed(tree, indices)

    def index(self, letter: str) -> str:
        """Return the index that a letter stands for here; sums have their own."""
        return self._scope.get(letter, letter)

    # ---------------------------------------------------------------- sums and products

    def _sum(self, tree: Addition) -> Value:
        (sign, first), *rest = tree.terms
        result = self.value(first)
        if sign < 0:
            result = replace(result, node=build.negate(result.node))
        for sign, term in rest:
            operation = build.add if sign > 0 else build.subtract
            where = f"sum at position {tree.at + 1}"
            result = v.by_entry(operation, result, self.value(term), where)
        return result

    def _product(self, tree: Multiplication) -> Value:
        try:
            return self._plain_product(tree)
        except ShapeError:
            other = regrouped(tree)
            if other is None:
                raise
            result = self._plain_product(other)
            self.readings[id(tree), -1] = "regrouped"
            return result

    def _plain_product(self, tree: Multiplication) -> Value:
        factors = self._chains.factors(tree)
        if any(value.labels for _, _, value in factors):
            return self._selected([value for _, _, value in factors], tree)
        result = factors[0][2]
        for place, (operator, _, value) in enumerate(factors[1:]):
            if operator in {"⋆", "⋆full"}:
                result = self._calls.convolution(result, value, operator)
            else:
                result = self._pair(operator, result, value, tree, place)
        return result

    def _selected(self, values: list[Value], tree: Multiplication) -> Value:
        """Return a product with one-hot rows E_c, from the right to the left."""
        result = values[-1]
        for value in reversed(values[:-1]):
            if value.labels:
                result = self._calls.selected(value.labels, result)
            else:
                result = v.matrix_product(value, result, tree.at)
        return result

    def _pair(
        self, operator: str, left: Value, right: Value, tree: Multiplication, place: int
    ) -> Value:
        where = f"product at position {tree.at + 1}"
        if operator == "⊙":
            return v.by_entry(build.multiply, left, right, where)
        if operator == "⊗":
            return self._kronecker(left, right)
        if operator == "*" and not left.is_scalar and not right.is_scalar:
            inner = (
                len(left.shape) == 2 == len(right.shape)
                and left.shape[1] == right.shape[0]
            )
            if not inner and not any((*left.free, *right.free)):
                self.readings[id(tree), place] = "entry"
                return v.by_entry(build.multiply, left, right, where)
        if operator in {"·", "×"} and _are_columns(left, right):
            self.readings[id(tree), place] = "inner"
            return v.matrix_product(v.transposed(left), right, tree.at)
        return v.matrix_product(left, right, tree.at)

    def _kronecker(self, left: Value, right: Value) -> Value:
        if (
            len(left.shape) != 2
            or len(right.shape) != 2
            or left.indices
            or right.indices
        ):
            return v.by_entry(build.multiply, left, right, "⊗")
        if left.shape[1] == 1 == right.shape[1]:
            return v.matrix_product(left, v.transposed(right), 0)
        (a, b), (c, d) = left.shape, right.shape
        spread = build.multiply(
            build.reshape(left.node, (a, 1, b, 1)),
            build.reshape(right.node, (1, c, 1, d)),
        )
        return Value(build.reshape(spread, (_times(a, c), _times(b, d))))

    def _quotient(self, tree: Quotient) -> Value:
        where = f"fraction at position {tree.at + 1}"
        if number_of(tree.under) == 0:
            raise ArgumentError(where, expected="a divisor that is not 0", got="0")
        over, under = self.value(tree.over), self.value(tree.under)
        return v.by_entry(build.divide, over, under, where)

    # ---------------------------------------------------------------- powers and norms

    def _power(self, tree: Power) -> Value:
        exponent = self.value(tree.exponent)
        if isinstance(tree.base, Constant) and tree.base.name == "e":
            return replace(exponent, node=build.exp(exponent.node))
        base = self.value(tree.base)
        number = number_of(tree.exponent)
        square = (
            len(base.shape) == 2
            and base.shape[0] == base.shape[1]
            and base.shape[0] != 1
        )
        if base.identity:
            return replace(base, node=build.power(base.node, exponent.node))
        if tree.by_entry or not square:
            if (
                number == -1
                and not tree.by_entry
                and len(base.shape) == 2
                and 1 not in base.shape
            ):
                raise ShapeError(
                    f"inverse at position {tree.at + 1}",
                    expected="a square matrix",
                    got=f"{base.shape}",
                )
            if len(base.shape) == 2 and 1 not in base.shape:
                self.readings[id(tree), 0] = "entry"
            return self._entry_power(base, exponent, number)
        return self._matrix_power(base, number, tree)

    def _entry_power(
        self, base: Value, exponent: Value, number: Fraction | None
    ) -> Value:
        if number is None:
            return v.by_entry(build.power, base, exponent, "power")
        return replace(base, node=raised(base.node, number))

    def _matrix_power(self, base: Value, number: Fraction | None, tree: Power) -> Value:
        if (
            number is None
            or number.denominator != 1
            or abs(number) > _MOST_FACTORS
            or base.indices
        ):
            raise ArgumentError(
                f"power at position {tree.at + 1}",
                expected=f"a whole exponent of at most {_MOST_FACTORS} of a square matrix",
                got=str(number) if number is not None else "a formula",
                hint="Write A^{∘k} for the entry-wise power.",
            )
        self.readings[id(tree), 0] = "matrix"
        if number == 0:
            return v.sized_identity(
                Value(build.constant(1.0, self.dtype), identity=True), base.shape
            )
        node = base.node if number > 0 else inverse(base.node)
        result = node
        for _ in range(abs(int(number)) - 1):
            result = build.matmul(result, node)
        return Value(result)

    def _norm(self, tree: Norm) -> Value:
        body = self.value(tree.body)
        if tree.kind == "abs":
            return replace(body, node=build.absolute(body.node))
        if tree.kind == "1":
            return v.reduced(
                replace(body, node=build.absolute(body.node)), build.sum_over
            )
        square = replace(body, node=build.multiply(body.node, body.node))
        total = v.reduced(square, build.sum_over)
        return replace(total, node=build.sqrt(total.node))

    # ---------------------------------------------------------------- indices

    def _total(self, tree: Summed) -> Value:
        if not tree.indices:
            return v.reduced(self.value(tree.body), build.sum_over)
        outer = dict(self._scope)
        own = {letter: f"{letter}#{next(self._fresh)}" for letter in tree.indices}
        self._scope |= own
        if tree.upper is not None and (last := number_of(tree.upper)) is not None:
            for index in own.values():
                self.sizes.setdefault(index, int(last))
        body = self.value(tree.body)
        self._scope = outer
        axes = []
        for letter, index in own.items():
            if index in body.indices:
                body = v.summed_over(body, index)
            elif index in self.missing:
                continue
            elif (axis := v.axis_of(letter, body)) is not None and tree.upper is None:
                axes.append(axis + len(body.indices))
            else:
                body = self._repeated(body, tree)
        if not axes:
            return body
        node = build.sum_over(body.node, tuple(axes), keepdims=True)
        return replace(body, node=node, loose=True)

    def _repeated(self, body: Value, tree: Summed) -> Value:
        """Return Σ of something without the index: as many times the body."""
        if tree.upper is None:
            raise ArgumentError(
                f"Σ at position {tree.at + 1}",
                expected=f"a term with the index {', '.join(tree.indices)}",
                got="none",
            )
        upper = self.value(tree.upper)
        lower = self.value(tree.lower) if tree.lower is not None else None
        times = (
            upper.node
            if lower is None
            else build.add(build.subtract(upper.node, lower.node), 1.0)
        )
        return v.by_entry(build.multiply, replace(upper, node=times), body, "Σ")

    def _relation(self, tree: Related) -> Value:
        if (axes := self._axis_letters(tree)) is not None:
            return Value(build.constant(1.0, self.dtype), mask=axes)
        left, right = self.value(tree.left), self.value(tree.right)
        found = v.by_entry(
            _RELATIONS[tree.relation],
            left,
            right,
            f"comparison at position {tree.at + 1}",
        )
        return replace(found, node=build.cast(found.node, self.dtype))

    def _axis_letters(self, tree: Related) -> Callable[[Shape], Node] | None:
        """Return the array of a comparison of axis letters, 𝟙(j ≤ i), for a shape."""
        sides = (tree.left, tree.right)
        letters = [side.name for side in sides if isinstance(side, Letter)]
        if not letters or any(letter in self.used for letter in letters):
            return None
        if not all(isinstance(side, (Letter, Literal)) for side in sides):
            return None
        if any(letter not in v.AXES for letter in letters):
            return None

        def array(shape: Shape) -> Node:
            whole = shape[-2:]
            left, right = (
                build.iota(whole, v.AXES.index(side.name) % 2, self.dtype)
                if isinstance(side, Letter)
                else build.full(whole, float(side.value), self.dtype)
                for side in sides
                if isinstance(side, (Letter, Literal))
            )
            return build.cast(_RELATIONS[tree.relation](left, right), self.dtype)

        return array

    # ---------------------------------------------------------------- cases and blocks

    def _choice(self, tree: Choice) -> Value:
        result: Value | None = None
        for chosen, condition in reversed(tree.rows):
            value = self.value(chosen)
            if result is None:
                result = value
                continue
            if condition is None:
                continue
            holds = self.value(condition)
            first = v.by_entry(build.multiply, holds, value, "cases")
            rest = replace(holds, node=build.subtract(1.0, holds.node))
            result = v.by_entry(
                build.add,
                first,
                v.by_entry(build.multiply, rest, result, "cases"),
                "cases",
            )
        if result is None:
            raise ArgumentError("cases", expected="at least one case", got="none")
        return result

    def _blocks(self, tree: Blocks) -> Value:
        rows = [[v.squeezed(self.value(block)) for block in row] for row in tree.rows]
        if (
            any(block.indices for row in rows for block in row)
            or len({len(row) for row in rows}) != 1
        ):
            raise ShapeError(
                "blocks", expected="rows of equally many matrices", got="other blocks"
            )
        rank = max(len(block.shape) for row in rows for block in row)
        rank = max(rank, 2)
        joined = [
            build.concatenate([_matrix(block, rank) for block in row], rank - 1)
            if len(row) > 1
            else _matrix(row[0], rank)
            for row in rows
        ]
        return Value(
            joined[0] if len(joined) == 1 else build.concatenate(joined, rank - 2)
        )


def _matrix(value: Value, rank: int) -> Node:
    return build.reshape(value.node, (*(1,) * (rank - len(value.shape)), *value.shape))


def _are_columns(left: Value, right: Value) -> bool:
    if len(left.shape) != 2 or left.shape != right.shape:
        return False
    return (
        left.shape[1] == 1 and left.shape[0] != 1 and not any((*left.free, *right.free))
    )


def _times(left: Size, right: Size) -> Size:
    return left if right == 1 else right if left == 1 else left * right
