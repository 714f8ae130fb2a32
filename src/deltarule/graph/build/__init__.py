"""Checked constructors: the only way to make a primitive node.

Shape and type errors are raised here, with the names of the operands. Element-wise constructors insert the
casts and broadcasts that NumPy's habits ask for, so that a primitive always has operands of one shape and type.
"""

from deltarule.graph.build.contraction import (
    cholesky,
    convolve,
    convolve_transposed,
    convolve_weight,
    fold,
    log_determinant,
    matmul,
    solve,
    windows,
)
from deltarule.graph.build.division import floor_divide, remainder
from deltarule.graph.build.elementwise import (
    absolute,
    add,
    aligned,
    cast,
    check,
    cos,
    divide,
    equal,
    erf,
    exp,
    expm1,
    floor,
    fmod,
    less,
    log,
    log1p,
    logical_and,
    logical_not,
    logical_or,
    maximum,
    minimum,
    multiply,
    negate,
    power,
    sign,
    sin,
    sqrt,
    stop_gradient,
    subtract,
    tanh,
    where,
)
from deltarule.graph.build.leaves import (
    Operand,
    as_node,
    constant,
    describe,
    dimension,
    full,
    input_node,
    iota,
    random_uniform,
    size,
)
from deltarule.graph.build.movement import (
    argsort,
    broadcast_to,
    concatenate,
    expand_dims,
    flip,
    gather,
    matrix_transpose,
    pad,
    permute,
    reshape,
    scatter_add,
    slice_axes,
)
from deltarule.graph.build.reduction import argmax, cumulative_sum, maximum_over, mean, sum_over

__all__ = [
    "Operand", "absolute", "add", "aligned", "argmax", "argsort", "as_node", "broadcast_to", "cast", "check",
    "cholesky", "concatenate", "constant", "convolve", "convolve_transposed", "convolve_weight", "cos",
    "cumulative_sum", "describe", "dimension", "divide", "equal", "erf", "exp", "expand_dims", "expm1", "flip", "floor",
    "floor_divide", "fmod", "fold", "full", "gather", "input_node", "iota", "less", "log", "log1p", "log_determinant",
    "logical_and", "logical_not", "logical_or", "matmul", "matrix_transpose", "maximum", "maximum_over", "mean",
    "minimum", "multiply", "negate", "pad", "permute", "power", "random_uniform", "remainder", "reshape",
    "scatter_add", "sign", "sin", "size", "slice_axes", "solve", "sqrt", "stop_gradient", "subtract", "sum_over",
    "tanh", "where", "windows",
]  # fmt: skip
