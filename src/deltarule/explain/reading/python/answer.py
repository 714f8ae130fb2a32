"""An answer as Python on arrays: ``np.outer(delta_1, x)``, assignments, loops, functions and comprehensions.

The text is parsed with ``ast`` and built as a graph; nothing of it is executed.
"""

from __future__ import annotations

import ast

from deltarule.dtypes import DType
from deltarule.errors import ArgumentError
from deltarule.explain.formula.term import matrix_shape
from deltarule.explain.reading.extent import check_operations
from deltarule.explain.reading.python.arrays import Value, as_array
from deltarule.explain.reading.python.statements import Statements
from deltarule.explain.reading.python.written import written_python
from deltarule.explain.reading.reader import Reading
from deltarule.explain.reading.tokens import check_extent
from deltarule.explain.reading.vocabulary import Vocabulary
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.graph.op import Op
from deltarule.shapes import Shape

_MARKS = (
    ast.Attribute,
    ast.Subscript,
    ast.MatMult,
    ast.Pow,
    ast.Lambda,
    ast.FunctionDef,
    ast.For,
    ast.Return,
    ast.AugAssign,
    ast.ListComp,
    ast.GeneratorExp,
    ast.IfExp,
)


def is_python(text: str) -> bool:
    """Whether a text reads as Python rather than as mathematics."""
    if "\\" in text or "^" in text or not text.isascii():
        return False
    try:
        tree = ast.parse(text.strip())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return any(isinstance(node, _MARKS) for node in ast.walk(tree))


def read_python(
    text: str, vocabulary: Vocabulary, dtype: DType, like: Shape | None = None
) -> Reading:
    """Read an answer in Python: an expression, or statements of which the last gives the answer.

    A vector has no orientation in NumPy: where a vector of the shape ``like`` is expected, (n,), (1, n) and (n, 1) are
    the same.

    Raises:
        ArgumentError: a name or construction that is not understood, with its line and column.
        ShapeError: arrays that do not fit together.
    """
    reading = read_array(text, vocabulary, dtype)
    node = reading.node
    if like is not None and _is_vector(node.shape, like):
        node = build.reshape(node, like)
    return Reading(build.reshape(node, matrix_shape(node.shape)), reading.formula)


def _is_vector(shape: Shape, like: Shape) -> bool:
    core = [size for size in shape if size != 1]
    same = core == [size for size in like if size != 1]
    return same and len(core) == 1 and 1 in (len(shape), len(like))


def read_array(text: str, vocabulary: Vocabulary, dtype: DType) -> Reading:
    """Read Python as ``read_python`` does, with the shape that the array has in Python."""
    check_extent(text)
    tree = _parsed(text)
    known = {
        name: _static(symbol.node)
        for name, symbol in vocabulary.names.items()
        if "/" not in name
    }
    prefix = f"d{vocabulary.loss}/d"
    derivatives = {
        name.removeprefix(prefix): symbol.node
        for name, symbol in vocabulary.names.items()
        if name.startswith(prefix)
    }
    builder = Statements(text.strip(), known, derivatives, vocabulary.shown_names())
    try:
        value = as_array(builder.answer(tree.body))
    except RecursionError as error:
        raise ArgumentError(
            "Python expression",
            expected="an expression that is nested less deeply",
            got="too many brackets",
        ) from error
    check_operations(value, vocabulary)
    node = build.cast(value, dtype)
    return Reading(node, written_python(tree.body, builder.shapes))


def _parsed(text: str) -> ast.Module:
    try:
        return ast.parse(text.strip())
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        where = f" at column {error.offset}" if isinstance(error, SyntaxError) else ""
        message = (
            error.msg
            if isinstance(error, SyntaxError)
            else "an expression that is nested too deeply"
        )
        raise ArgumentError(
            "Python expression", expected="an expression", got=f"{message}{where}"
        ) from error


def _static(node: Node) -> Value:
    """Return a known size as a whole number, for range(m); any other node as it is."""
    if node.op is not Op.CONSTANT or node.shape:
        return node
    value = node.attributes["value"]
    return int(value) if float(value).is_integer() else node
