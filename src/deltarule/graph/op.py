"""The closed list of primitive operations, grouped.

Every pass over a graph (evaluate, differentiate, lower, explain) is a table keyed by these names, and a test checks
that each table is complete. Functions such as sigmoid and softmax are ``CALL`` nodes, declared with their expansion
into these primitives in ``graph/functions``.

Element-wise primitives take operands of one shape and one element type: the constructors of ``graph/build/``
insert casts and broadcasts by NumPy's rules.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final


class Op(Enum):
    """A primitive operation; the comment lists operands, attributes and meaning.

    >>> Op.ADD in ELEMENTWISE
    True
    """

    # leaves
    INPUT = auto()  # name, uid: a value that is given when the graph is run
    CONSTANT = auto()  # value: a Python scalar, shape ()
    DIMENSION = auto()  # dimension: an unknown size as a number
    IOTA = auto()  # shape, axis: the index along ``axis``
    RANDOM = auto()  # (seed, step) int64, one for each row of leading axes; shape, stream: uniform in [0, 1)

    # element-wise, one operand
    NEGATE = auto()
    ABS = auto()  # derivative sign(x): 0 at 0
    SIGN = auto()  # sign(0) = 0
    FLOOR = auto()
    EXP = auto()
    EXPM1 = auto()
    LOG = auto()
    LOG1P = auto()
    SQRT = auto()
    SIN = auto()
    COS = auto()
    TANH = auto()
    ERF = auto()
    NOT = auto()
    CAST = auto()  # dtype
    STOP_GRADIENT = auto()  # identity with derivative 0

    # element-wise, two operands
    ADD = auto()
    SUBTRACT = auto()
    MULTIPLY = auto()
    DIVIDE = auto()  # floats
    FMOD = auto()  # floats; x − trunc(x/y)·y, exact, with the sign of x
    POWER = auto()  # floats; derivative in the exponent is 0 where the base is 0
    MAXIMUM = auto()  # at a tie the gradient goes to the first operand
    MINIMUM = auto()  # at a tie the gradient goes to the first operand
    EQUAL = auto()
    LESS = auto()
    AND = auto()
    OR = auto()

    # element-wise, three operands
    WHERE = auto()  # (condition bool, x, y)
    CHECK = auto()  # (x, condition bool, shown float64); message: x, but DataError where the condition does not hold

    # reductions (the reduced axes disappear)
    SUM = auto()  # axes
    MAX = auto()  # axes; at a tie the gradient goes to the first in row-major order
    ARGMAX = auto()  # axis; first maximum, int64

    # scans
    CUMULATIVE_SUM = auto()  # axis

    # movement
    RESHAPE = auto()  # shape
    PERMUTE = auto()  # order: result axis i is source axis order[i]
    BROADCAST = auto()  # shape, by NumPy's rules
    SLICE = auto()  # starts, stops, steps (≥ 1)
    PAD = auto()  # low, high, interior (between elements), all ≥ 0; fills with 0
    FLIP = auto()  # axes
    CONCATENATE = auto()  # axis

    # indexing
    GATHER = auto()  # (x, indices); axis, which the axes of indices replace
    SCATTER_ADD = auto()  # (indices, updates); axis, size: the adjoint of GATHER
    ARGSORT = auto()  # axis: stable, ascending, int64

    # contractions
    MATMUL = auto()  # (…, m, k) @ (…, k, n), equal leading sizes
    # (x, weight); stride, padding, dilation, groups: correlation, channels last
    CONVOLVE = auto()
    CONVOLVE_TRANSPOSED = auto()  # (y, weight); + input_shape: adjoint in x
    CONVOLVE_WEIGHT = auto()  # (x, y); + weight_shape: adjoint in the weight
    # (x); axes, window, stride, dilation: x with a trailing axis per window axis
    WINDOWS = auto()
    FOLD = auto()  # (y); axes, window, stride, dilation, shape: the adjoint of WINDOWS (overlap-add)

    # linear algebra on the last two axes
    SOLVE = auto()  # (A, B): A⁻¹B
    LOG_DETERMINANT = auto()  # (A): ln|det A|
    # (A): lower L with LLᵀ = A; reads the lower triangle, gradient symmetrised
    CHOLESKY = auto()

    # a named function
    CALL = auto()  # function, and its own attributes; sources are its operands


LEAVES: Final = frozenset({Op.INPUT, Op.CONSTANT, Op.DIMENSION, Op.IOTA, Op.RANDOM})
ELEMENTWISE: Final = frozenset(
    {
        Op.NEGATE,
        Op.ABS,
        Op.SIGN,
        Op.FLOOR,
        Op.EXP,
        Op.EXPM1,
        Op.LOG,
        Op.LOG1P,
        Op.SQRT,
        Op.SIN,
        Op.COS,
        Op.TANH,
        Op.ERF,
        Op.NOT,
        Op.CAST,
        Op.STOP_GRADIENT,
        Op.ADD,
        Op.SUBTRACT,
        Op.MULTIPLY,
        Op.DIVIDE,
        Op.FMOD,
        Op.POWER,
        Op.MAXIMUM,
        Op.MINIMUM,
        Op.EQUAL,
        Op.LESS,
        Op.AND,
        Op.OR,
        Op.WHERE,
        Op.CHECK,
    }
)
REDUCTIONS: Final = frozenset({Op.SUM, Op.MAX, Op.ARGMAX})
MOVEMENT: Final = frozenset(
    {Op.RESHAPE, Op.PERMUTE, Op.BROADCAST, Op.SLICE, Op.PAD, Op.FLIP, Op.CONCATENATE}
)
CONTRACTIONS: Final = frozenset(
    {Op.MATMUL, Op.CONVOLVE, Op.CONVOLVE_TRANSPOSED, Op.CONVOLVE_WEIGHT}
)
