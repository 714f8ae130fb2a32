"""Constructors of terms that simplify.

Like terms are collected, powers cancelled, transposes pushed inwards, numbers moved to the front, outer products
and diagonal matrices recognised.
"""

from __future__ import annotations

import itertools
from fractions import Fraction

from deltarule.errors import ShapeError
from deltarule.explain.formula.coefficients import (
    common_shape,
    exact,
    factors_of,
    is_constant,
    lifted,
    number,
    split,
    unwrapped,
)
from deltarule.explain.formula.constants import with_one_root
from deltarule.explain.formula.inverses import cancel, inverse_of_atom
from deltarule.explain.formula.term import (
    Coefficient,
    Diagonal,
    Matmul,
    Product,
    Sum,
    Symbol,
    Term,
    Total,
    cost,
    idempotent,
    is_number,
)
from deltarule.explain.formula.unary import (
    diagonal,
    is_identity,
    power,
    transpose,
)
from deltarule.shapes import show

__all__ = [
    "add",
    "common_factor",
    "common_shape",
    "diagonal",
    "divide",
    "exact",
    "expanded",
    "factors_of",
    "inverse",
    "is_constant",
    "is_identity",
    "lifted",
    "matmul",
    "multiply",
    "negate",
    "number",
    "power",
    "scale",
    "split",
    "subtract",
    "total",
    "transpose",
    "unwrapped",
]
_ONE = Fraction(1)


def _key(term: Term) -> Term:
    """Return a key that is equal for terms that differ only in the order of factors."""
    if isinstance(term, Product):
        return Product(
            term.coefficient, tuple(sorted(term.factors, key=repr)), term.shape
        )
    if isinstance(term, Matmul) and is_number(term.shape):
        other = Matmul(tuple(transpose(f) for f in reversed(term.factors)), term.shape)
        return min(term, other, key=repr)
    return term


def add(*terms: Term) -> Term:
    """Return the sum, like terms collected, a positive term first if there is one.

    >>> from deltarule.explain.formula.typeset import term_text
    >>> x, y = Symbol.of("x", (3, 1)), Symbol.of("y", (3, 1))
    >>> term_text(add(x, negate(y), x))
    '2x − y'
    """
    shape = common_shape([term.shape for term in terms])
    collected: dict[Term, tuple[Coefficient, Term]] = {}
    flat = [part for term in terms for part in _summands(term)]
    for part in flat:
        coefficient, core = split(lifted(part, shape))
        key = _key(core)
        known = collected.get(key)
        collected[key] = (
            (coefficient + known[0], known[1]) if known else (coefficient, core)
        )
    kept = [
        scale(coefficient, core)
        for coefficient, core in collected.values()
        if coefficient != 0
    ]
    kept = _factored(kept)
    if not kept:
        return number(Fraction(0), shape)
    if len(kept) == 1:
        return kept[0]
    first = next((i for i, part in enumerate(kept) if split(part)[0] >= 0), 0)
    ordered = (kept[first], *kept[:first], *kept[first + 1 :])
    leading = split(ordered[0])[0]
    below = all(split(part)[0] < 0 for part in ordered)
    shared: Coefficient = leading if leading > 0 or below else -leading
    if abs(shared) != 1 and all(
        abs(split(part)[0]) == abs(shared) for part in ordered
    ):  # 2a − 2b = 2(a − b)
        inner = Sum(tuple(scale(1 / shared, part) for part in ordered), shape)
        return Product(shared, ((inner, _ONE),), shape)
    return Sum(ordered, shape)


def _summands(term: Term) -> tuple[Term, ...]:
    """Return the terms of a sum, also of one with a coefficient in front."""
    if isinstance(term, Sum):
        return term.terms
    if isinstance(term, Product) and len(term.factors) == 1:
        factor, exponent = term.factors[0]
        same = factor.shape == term.shape or (
            is_number(factor.shape) and is_number(term.shape)
        )
        if isinstance(factor, Sum) and exponent == 1 and same:
            return tuple(scale(term.coefficient, part) for part in factor.terms)
    return (term,)


def _factored(terms: list[Term]) -> list[Term]:
    """Join matrix products that share their first or last factor: Ax + Aᵀx → (A + Aᵀ)x."""
    for i, first in enumerate(terms):
        for j in range(i + 1, len(terms)):
            joined = _join(first, terms[j])
            if joined is not None:
                return _factored(
                    [*terms[:i], joined, *terms[i + 1 : j], *terms[j + 1 :]]
                )
    return terms


def _join(first: Term, second: Term) -> Term | None:
    (a, x), (b, y) = split(first), split(second)
    if not (isinstance(x, Matmul) and isinstance(y, Matmul)) or is_number(x.shape):
        return None
    for at, rest in ((-1, slice(0, -1)), (0, slice(1, None))):
        if x.factors[at] == y.factors[at] and len(x.factors[rest]) == 1 == len(
            y.factors[rest]
        ):
            left, right = scale(a, x.factors[rest][0]), scale(b, y.factors[rest][0])
            if left.shape != right.shape or 1 in left.shape:
                continue
            inner = add(left, right)
            return (
                matmul(inner, x.factors[-1])
                if at == -1
                else matmul(x.factors[0], inner)
            )
    return None


def scale(coefficient: Coefficient, term: Term) -> Term:
    """Return coefficient · term.

    >>> from deltarule.explain.formula.typeset import term_text
    >>> x = Symbol.of("x", (3, 1))
    >>> term_text(scale(Fraction(1, 2), scale(6, x)))
    '3x'
    """
    if coefficient == 1:
        return term
    if coefficient == 0:
        return number(Fraction(0), term.shape)
    if isinstance(term, Product):
        front, powers = with_one_root(
            coefficient * term.coefficient, dict(term.factors)
        )
        front, factors = _without_sign(front, tuple(powers.items()))
        return unwrapped(Product(front, factors, term.shape))
    if isinstance(term, Sum) and coefficient == -1:
        return add(*(scale(coefficient, part) for part in term.terms))
    return Product(coefficient, ((term, _ONE),), term.shape)


def common_factor(left: Term, right: Term) -> Term | None:
    """Return the product of the factors that two terms share.

    >>> from deltarule.explain.formula.typeset import term_text
    >>> x, y, z = (Symbol.of(name, (3, 1)) for name in "xyz")
    >>> term_text(common_factor(multiply(x, y), multiply(x, y, z)))
    'x ⊙ y'
    """
    theirs = dict(factors_of(right)[1])
    shared = tuple((f, e) for f, e in factors_of(left)[1] if theirs.get(f) == e)
    if not shared:
        return None
    return unwrapped(Product(_ONE, shared, common_shape([left.shape, right.shape])))


def negate(term: Term) -> Term:
    """Return −term.

    >>> from deltarule.explain.formula.typeset import term_text
    >>> x, y = Symbol.of("x", (3, 1)), Symbol.of("y", (3, 1))
    >>> term_text(negate(subtract(x, y)))
    'y − x'
    """
    return scale(Fraction(-1), term)


def subtract(left: Term, right: Term) -> Term:
    """Return left − right.

    >>> from deltarule.explain.formula.typeset import term_text
    >>> x, y = Symbol.of("x", (3, 1)), Symbol.of("y", (3, 1))
    >>> term_text(subtract(add(x, y), y)), term_text(subtract(x, y))
    ('x', 'x − y')
    """
    return add(left, negate(right))


def multiply(*terms: Term) -> Term:
    """Return the element-wise product, powers of one factor collected, fractions cancelled.

    >>> from deltarule.explain.formula.typeset import term_text
    >>> x, y = Symbol.of("x", (3, 1)), Symbol.of("y", (3, 1))
    >>> term_text(multiply(x, y, x))
    'x² ⊙ y'
    """
    shape = common_shape([term.shape for term in terms])
    coefficient: Coefficient = _ONE
    exponents: dict[Term, Fraction] = {}
    for term in terms:
        own, factors = factors_of(term)
        coefficient = coefficient * own
        for factor, exponent in factors:
            if (
                exponent == 1
                and isinstance(factor, Sum)
                and all(split(part)[0] < 0 for part in factor.terms)
            ):
                coefficient, positive = (
                    -coefficient,
                    negate(factor),
                )  # the sign comes to the front
            else:
                positive = factor
            exponents[positive] = exponents.get(positive, Fraction(0)) + exponent
    if coefficient == 0:
        return number(Fraction(0), shape)
    for factor in [f for f, e in exponents.items() if idempotent(f) and e > 1]:
        exponents[factor] = _ONE
    coefficient, exponents = with_one_root(coefficient, exponents)
    kept = tuple(
        (factor, exponent) for factor, exponent in exponents.items() if exponent != 0
    )
    coefficient, kept = _without_sign(coefficient, kept)
    product = _repetitions(Product(coefficient, kept, shape))
    if not isinstance(product, Product):
        return product
    if (
        len(product.factors) == 1
        and product.coefficient == -1
        and isinstance(product.factors[0][0], Sum)
    ):
        factor, exponent = product.factors[0]
        mixed = isinstance(factor, Sum) and any(
            split(part)[0] < 0 for part in factor.terms
        )
        if exponent == 1 and factor.shape == shape and mixed:
            return negate(factor)
    return _distributed(unwrapped(product))


def _without_sign(
    coefficient: Coefficient, factors: tuple[tuple[Term, Fraction], ...]
) -> tuple[Coefficient, tuple[tuple[Term, Fraction], ...]]:
    """Put a minus sign into a difference: −(y − ŷ)a = (ŷ − y)a, but not into 1 − a."""
    if coefficient >= 0:
        return coefficient, factors
    for i, (factor, exponent) in enumerate(factors):
        if exponent != 1 or not isinstance(factor, Sum):
            continue
        if any(is_constant(part) and split(part)[0] > 0 for part in factor.terms):
            continue
        if any(split(part)[0] < 0 for part in factor.terms):
            turned = add(*(scale(Fraction(-1), part) for part in factor.terms))
            return -coefficient, (*factors[:i], (turned, exponent), *factors[i + 1 :])
    return coefficient, factors


def _repetitions(product: Product) -> Term:
    """Rewrite factors that repeat a vector: v𝟙ᵀ ⊙ X = diag(v)X, X ⊙ 𝟙wᵀ = X diag(w), v𝟙ᵀ ⊙ 𝟙wᵀ = vwᵀ."""
    rows = [f for f, e in product.factors if e == 1 and _repeats(f, -1)]
    columns = [
        f for f, e in product.factors if e == 1 and f not in rows and _repeats(f, 0)
    ]
    if not rows and not columns:
        return product
    rest = tuple(
        (f, e) for f, e in product.factors if f not in rows and f not in columns
    )
    matrices = [f for f, _ in rest if not is_number(f.shape)]
    lefts = [matmul(*f.factors[:-1]) for f in rows if isinstance(f, Matmul)]
    rights = [matmul(*f.factors[1:]) for f in columns if isinstance(f, Matmul)]
    left = multiply(*lefts) if lefts else None
    right = multiply(*map(transpose, rights)) if rights else None
    if matrices:
        body: Term = unwrapped(Product(product.coefficient, rest, product.shape))
        if left is not None:
            body = matmul(diagonal(left), body)
        return body if right is None else matmul(body, diagonal(right))
    scalars = Product(product.coefficient, rest, ())
    if left is not None and right is not None:
        return multiply(scalars, matmul(left, transpose(right)))
    if len(rows) + len(columns) == 1:
        return product
    if left is not None:
        return multiply(scalars, matmul(left, number(_ONE, (1, product.shape[1]))))
    if right is not None:
        return multiply(
            scalars, matmul(number(_ONE, (product.shape[0], 1)), transpose(right))
        )
    return product


def _repeats(term: Term, at: int) -> bool:
    """Whether a term is v𝟙ᵀ (at −1) or 𝟙wᵀ (at 0)."""
    if (
        not isinstance(term, Matmul)
        or is_number(term.shape)
        or not is_constant(term.factors[at], 1)
    ):
        return False
    return bool(term.factors[at].shape[0 if at else 1] == 1)


def _distributed(term: Term) -> Term:
    """Multiply a sum out if that cancels fractions or makes it shorter."""
    if not isinstance(term, Product):
        return term
    for position, (factor, exponent) in enumerate(term.factors):
        if (
            not isinstance(factor, Sum)
            or exponent != 1
            or len(term.factors) == 1
            or len(factor.terms) > 6
        ):
            continue
        rest = Product(
            term.coefficient,
            (*term.factors[:position], *term.factors[position + 1 :]),
            term.shape,
        )
        if isinstance(rest.shape, tuple) and any(
            isinstance(f, Matmul) for f, _ in rest.factors
        ):
            continue
        spread = add(*(multiply(part, rest) for part in factor.terms))
        candidates = [spread, expanded(spread)]
        best = min(candidates, key=cost)
        if cost(best) < cost(term):
            return best
    return term


def expanded(term: Term, limit: int = 24) -> Term:
    """Multiply out every product of sums, as long as the result stays short.

    >>> from deltarule.explain.formula.typeset import term_text
    >>> x, y = Symbol.of("x"), Symbol.of("y")
    >>> term_text(expanded(power(add(x, y), Fraction(2))))
    'x² + 2xy + y²'
    """
    if isinstance(term, Sum):
        return add(*(expanded(part, limit) for part in term.terms))
    if not isinstance(term, Product):
        return term
    parts: list[Term] = [Product(term.coefficient, (), term.shape)]
    for factor, exponent in term.factors:
        repeated = (
            int(exponent) if isinstance(factor, Sum) and exponent in (1, 2, 3) else 0
        )
        if (
            repeated
            and isinstance(factor, Sum)
            and len(parts) * len(factor.terms) ** repeated <= limit
        ):
            for _ in range(repeated):
                parts = [_plain_product(a, b) for a in parts for b in factor.terms]
        else:
            parts = [
                _plain_product(a, Product(_ONE, ((factor, exponent),), factor.shape))
                for a in parts
            ]
    return add(*parts)


def _plain_product(left: Term, right: Term) -> Term:
    """Multiply without multiplying out."""
    shape = common_shape([left.shape, right.shape])
    (a, first), (b, second) = factors_of(left), factors_of(right)
    exponents: dict[Term, Fraction] = {}
    for factor, exponent in (*first, *second):
        exponents[factor] = exponents.get(factor, Fraction(0)) + exponent
    kept = tuple(
        (factor, exponent) for factor, exponent in exponents.items() if exponent != 0
    )
    return unwrapped(Product(a * b, kept, shape))


def divide(left: Term, right: Term) -> Term:
    """Return left / right, element by element; equal coefficients cancel.

    >>> from deltarule.explain.formula.typeset import term_text
    >>> x, y = Symbol.of("x", (3, 1)), Symbol.of("y", (3, 1))
    >>> term_text(divide(multiply(x, y), y)), term_text(divide(scale(2, x), scale(2, y)))
    ('x', 'x/y')
    """
    (a, first), (b, second) = factors_of(left), factors_of(right)
    if a == b and not isinstance(a, Fraction):
        left = Product(_ONE, first, left.shape)
        right = Product(_ONE, second, right.shape)
    return multiply(left, power(right, Fraction(-1)))


def matmul(*terms: Term) -> Term:
    """Return the matrix product; coefficients and numbers come to the front.

    >>> from deltarule.explain.formula.typeset import term_text
    >>> A, x = Symbol.of("A", (2, 3)), Symbol.of("x", (3, 1))
    >>> term_text(matmul(A, scale(2, x))), matmul(A, x).shape
    ('2 Ax', (2, 1))
    """
    outside: list[Term] = []
    chain: list[Term] = []
    for term in terms:
        if term.shape == ():
            outside.append(term)
        elif is_constant(term) and is_number(term.shape) and len(terms) > 1:
            outside.append(
                Product(split(term)[0] if split(term)[0] != 1 else _ONE, (), ())
            )
        elif isinstance(term, Product):
            whole = is_number(term.shape)  # a vector of one entry stays a factor
            scalars = tuple(
                (f, e)
                for f, e in term.factors
                if f.shape == () or (is_number(f.shape) and not whole)
            )
            inner = tuple(pair for pair in term.factors if pair not in scalars)
            if scalars or term.coefficient != 1:
                outside.append(Product(term.coefficient, scalars, ()))
            plain = unwrapped(Product(_ONE, inner, term.shape))
            chain.extend(plain.factors if isinstance(plain, Matmul) else [plain])
        else:
            chain.extend(term.factors if isinstance(term, Matmul) else [term])
    chain = _contracted(chain)
    if not chain:
        return multiply(*outside)
    for left, right in itertools.pairwise(chain):
        if (
            len(left.shape) != 2
            or len(right.shape) != 2
            or left.shape[1] != right.shape[0]
        ):
            raise ShapeError(
                "matrix product",
                expected=f"{show(left.shape)} to meet as many rows as it has columns",
                got=show(right.shape),
            )
    body = (
        chain[0]
        if len(chain) == 1
        else Matmul(tuple(chain), (chain[0].shape[0], chain[-1].shape[1]))
    )
    return multiply(*outside, body) if outside else body


def inverse(term: Term) -> Term:
    """Return the inverse of a square matrix.

    >>> from deltarule.explain.formula.typeset import term_text
    >>> A, B = Symbol.of("A", (3, 3)), Symbol.of("B", (3, 3))
    >>> term_text(inverse(matmul(A, B))), term_text(matmul(inverse(A), A, B))
    ('B⁻¹A⁻¹', 'B')
    """
    if is_number(term.shape):
        return power(term, Fraction(-1))
    if isinstance(term, Diagonal):
        return diagonal(power(term.body, Fraction(-1)))
    square = isinstance(term, Matmul) and all(
        factor.shape == term.shape for factor in term.factors
    )
    if isinstance(term, Matmul) and square:
        return matmul(*(inverse(factor) for factor in reversed(term.factors)))
    if isinstance(term, Product):
        scalars = tuple((f, e) for f, e in term.factors if is_number(f.shape))
        arrays = [(f, e) for f, e in term.factors if not is_number(f.shape)]
        if len(arrays) == 1 and arrays[0][1] == 1:
            front = Product(term.coefficient, scalars, ())
            return multiply(power(front, Fraction(-1)), inverse(arrays[0][0]))
    return inverse_of_atom(term)


def _contracted(chain: list[Term]) -> list[Term]:
    """Multiply diagonal matrices by vectors of ones: diag(v)𝟙 = v, 𝟙ᵀdiag(v) = vᵀ; 𝟙𝟙ᵀ is an array of ones."""
    for i in range(len(chain) - 1):
        left, right = chain[i], chain[i + 1]
        if is_constant(left, 1) and is_constant(right, 1) and left.shape[1] == 1:
            return _contracted(
                [
                    *chain[:i],
                    number(_ONE, (left.shape[0], right.shape[1])),
                    *chain[i + 2 :],
                ]
            )
        for one, other in ((left, right), (right, left)):
            if is_identity(one):
                return _contracted([*chain[:i], other, *chain[i + 2 :]])
        if cancel(left, right):
            unit = diagonal(number(_ONE, (left.shape[0], 1)))
            return _contracted([*chain[:i], unit, *chain[i + 2 :]])
        if isinstance(left, Diagonal) and is_constant(right, 1) and right.shape[1] == 1:
            return _contracted([*chain[:i], left.body, *chain[i + 2 :]])
        if isinstance(right, Diagonal) and is_constant(left, 1) and left.shape[0] == 1:
            return _contracted([*chain[:i], transpose(right.body), *chain[i + 2 :]])
    return chain


def total(term: Term) -> Term:
    """Return the sum of all entries: uᵀv of a product of two vectors, a sum of those of a sum.

    >>> from deltarule.explain.formula.typeset import term_text
    >>> u, v = Symbol.of("u", (3, 1)), Symbol.of("v", (3, 1))
    >>> term_text(total(multiply(u, v))), term_text(total(add(u, v)))
    ('uᵀv', 'Σ (u + v)')
    """
    if is_number(term.shape):
        return term
    if isinstance(term, Sum):
        if all(split(part)[0] < 0 for part in term.terms):
            return negate(total(negate(term)))
        parts = [total(part) for part in term.terms]
        if not any(
            isinstance(core, Total) for core in (split(part)[1] for part in parts)
        ):
            return add(*parts)
        return Total(term, ())
    coefficient, factors = factors_of(term)
    scalars = Product(
        coefficient, tuple((f, e) for f, e in factors if is_number(f.shape)), ()
    )
    inner = tuple((f, e) for f, e in factors if not is_number(f.shape))
    if not inner:
        return Total(term, ())
    body: Term = unwrapped(Product(_ONE, inner, term.shape))
    if (
        len(term.shape) == 2
        and term.shape[1] == 1
        and len(inner) == 2
        and all(e == 1 for _, e in inner)
    ):
        return multiply(scalars, matmul(transpose(inner[0][0]), inner[1][0]))
    if (
        isinstance(body, Matmul)
        and len(body.factors) == 2
        and is_constant(body.factors[1], 1)
    ):
        row_sums = body.factors[1].shape[1] == 1
        return multiply(
            scalars, total(body.factors[0]) if row_sums else Total(body, ())
        )
    return (
        multiply(scalars, Total(body, ()))
        if not isinstance(body, Symbol) or scalars.factors
        else scale(coefficient, Total(body, ()))
    )
