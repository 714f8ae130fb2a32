"""The functions and methods of NumPy, PyTorch and JAX that an answer in Python may call, as graphs."""

from __future__ import annotations

import math
from collections.abc import Callable

from deltarule.explain.reading.known_functions import FUNCTIONS as MATHEMATICS
from deltarule.explain.reading.known_functions import function_key, inverse
from deltarule.explain.reading.meaning.network_functions import derived
from deltarule.explain.reading.python import arrays as on
from deltarule.explain.reading.python.arrays import Value, as_array, lifted
from deltarule.explain.reading.python.einsum import einsum, tensordot
from deltarule.graph import algebra, build, functions
from deltarule.graph.node import Node

CONSTANTS: dict[str, Value] = {
    "pi": math.pi,
    "e": math.e,
    "inf": math.inf,
    "newaxis": None,
    **dict.fromkeys(("float64", "float32", "float", "double", "int64", "int"), "type"),
}
# spellings of keywords; those without a meaning here are left out
KEYWORDS = {
    "dim": "axis",
    "keepdim": "keepdims",
    "dims": "axes",
    "min": "low",
    "max": "high",
    "a_min": "low",
    "a_max": "high",
    "negative_slope": "slope",
    "alpha": "alpha",
    "copy": "",
    "dtype": "",
    "out": "",
}
_SYNONYMS = """
dot: vdot mv mm bmm
matmul: mm bmm
divide: true_divide div
power: pow float_power
subtract: sub
multiply: mul
negative: neg
absolute: abs fabs
max: amax
min: amin
mean: average
transpose: permute_dims
inv: inverse
outer: ger
ravel: flatten
clip: clamp
diag: diagonal diag_embed
eye: identity
sigmoid: expit logistic
norm: vector_norm matrix_norm
array: asarray tensor as_tensor stack convert_to_tensor copy
silu: swish
greater: gt
less: lt
greater_equal: ge
less_equal: le
equal: eq
sign: sgn
expand_dims: unsqueeze
reshape: view
sum: reduce_sum
"""
PLAIN = {
    spelling: name
    for name, _, spellings in (
        line.partition(": ") for line in _SYNONYMS.strip().splitlines()
    )
    for spelling in spellings.split()
}
_PRIMES = ("_prime", "_derivative", "_deriv", "_grad", "_gradient", "_backward", "_der")


def _entry_wise() -> dict[str, Callable[..., Value]]:
    """Return the functions that formulas know too, and act on each entry."""
    return {
        name: lifted(function.build)
        for name, function in MATHEMATICS.items()
        if function.by_entry and name.isascii() and len(name) > 2
    }


def slope(name: str) -> Callable[[Value], Node] | None:
    """Return f′ for sigmoid_prime, d_tanh or relu_derivative, None for other names."""
    plain = name.removeprefix("d_").removeprefix("grad_")
    for ending in _PRIMES:
        plain = plain.removesuffix(ending)
    key = function_key(plain)
    if plain == name or key is None or not MATHEMATICS[key].by_entry:
        return None
    function = MATHEMATICS[key].build
    return lambda x: derived(function, as_array(x), 1)


def _truth_values(x: Value) -> Node:
    node = as_array(x)
    return build.logical_not(build.equal(node, 0.0))


FUNCTIONS: dict[str, Callable[..., Value]] = {
    **_entry_wise(),
    "outer": on.outer,
    "dot": on.dot,
    "matmul": on.dot,
    "inner": on.inner,
    "multiply": lifted(build.multiply),
    "divide": lifted(build.divide),
    "add": lifted(build.add),
    "subtract": lifted(build.subtract),
    "negative": lifted(build.negate),
    "power": lifted(build.power),
    "square": lambda x: build.multiply(as_array(x), as_array(x)),
    "reciprocal": lambda x: build.divide(1.0, as_array(x)),
    "einsum": einsum,
    "tensordot": tensordot,
    "multi_dot": on.multi_dot,
    "where": on.where,
    "masked_fill": on.masked_fill,
    "exp": lifted(build.exp),
    "expm1": lifted(build.expm1),
    "log": lifted(build.log),
    "log1p": lifted(on.log_of_one_plus),
    "sqrt": lifted(build.sqrt),
    "rsqrt": lambda x: build.divide(1.0, build.sqrt(as_array(x))),
    "sinh": on.sinh,
    "cosh": on.cosh,
    "absolute": lifted(build.absolute),
    "sign": lifted(build.sign),
    "heaviside": on.heaviside,
    "maximum": lifted(build.maximum),
    "minimum": lifted(build.minimum),
    "greater": lambda x, y: build.less(as_array(y), as_array(x)),
    "less": lambda x, y: build.less(as_array(x), as_array(y)),
    "greater_equal": lambda x, y: build.logical_not(
        build.less(as_array(x), as_array(y))
    ),
    "less_equal": lambda x, y: build.logical_not(build.less(as_array(y), as_array(x))),
    "equal": lambda x, y: build.equal(as_array(x), as_array(y)),
    "clip": on.clip,
    "sum": on.sum_of,
    "mean": on.mean_of,
    "matrix_power": on.matrix_power,
    "pinv": lambda x: inverse(as_array(x)),
    "kron": on.kron,
    "max": on.maximum_over,
    "min": on.minimum_over,
    "transpose": on.transposed,
    "reshape": on.reshaped,
    "ravel": on.flat,
    "expand_dims": on.expanded,
    "squeeze": on.squeezed,
    "diag": on.diagonal,
    "diagflat": lambda x: algebra.diagonal_matrix(on.flat(x)),
    "eye": on.eye,
    "ones": on.filled_with(1.0),
    "zeros": on.filled_with(0.0),
    "full": on.full,
    "ones_like": on.filled_like(1.0),
    "zeros_like": on.filled_like(0.0),
    "sigmoid": lifted(functions.sigmoid),
    "relu": lifted(functions.relu),
    "leaky_relu": on.leaky_relu,
    "elu": on.elu,
    "softmax": on.softmax,
    "log_softmax": on.log_softmax,
    "norm": on.norm,
    "inv": lambda x: inverse(as_array(x)),
    "solve": on.solve,
    "trace": lifted(algebra.trace),
    "array": as_array,
    "atleast_2d": lambda x: as_array(x) if as_array(x).rank > 1 else on.expanded(x, 0),
    "logical_and": lambda x, y: build.logical_and(x, y),
    "logical_or": lambda x, y: build.logical_or(x, y),
    "logical_not": lambda x: build.logical_not(x),
}
BUILTINS: dict[str, Callable[..., Value]] = {
    "len": on.length,
    "float": on.number_of,
    "sum": on.sum_of_items,
    "max": on.largest_of,
    "min": on.smallest_of,
    "range": on.numbers_from,
    "zip": on.zipped,
    "enumerate": on.enumerated,
    "list": lambda x: x,
    "tuple": lambda x: x,
}


def _same(x: Value, *_: Value, **__: Value) -> Node:
    return as_array(x)


_METHOD_NAMES = """
dot matmul multiply sum mean max min reshape transpose ravel squeeze clip trace exp log tanh sigmoid relu norm sqrt
absolute sign square softmax log_softmax expand_dims outer power inner masked_fill sin cos divide add subtract negative
reciprocal where greater less greater_equal less_equal equal diag inv
"""
_ALIKE = "astype copy type float double long int to detach numpy clone contiguous cpu item tolist requires_grad_"
METHODS: dict[str, Callable[..., Value]] = {
    **{name: FUNCTIONS[name] for name in _METHOD_NAMES.split()},
    **dict.fromkeys(_ALIKE.split(), _same),
    "t": on.transposed,
    "bool": _truth_values,
    "size": on.sizes_of,
    "numel": lambda x: math.prod(on.sizes_of(x)),
    "dim": lambda x: as_array(x).rank,
}
METHODS |= {
    spelling: METHODS[name]
    for spelling, name in PLAIN.items()
    if name in METHODS and spelling not in METHODS
}
