"""The parser of numeric answers: numbers, vectors and matrices in plain text, LaTeX or Python.

Entries are arithmetic expressions such as ``−1/2``, ``2√3`` or ``1.5e-3``. Only numbers, the four operations, powers,
square roots, exponentials and logarithms are evaluated; nothing else of an answer is executed.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable

from deltarule.errors import ArgumentError

_MOST_CHARACTERS = 4000
_FUNCTIONS: dict[str, Callable[[float], float]] = {
    "sqrt": math.sqrt,
    "exp": math.exp,
    "log": math.log,
    "ln": math.log,
}
_CONSTANTS = {"pi": math.pi, "e": math.e}
_OPERATIONS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.Pow: math.pow,
}
_SIGNS = str.maketrans(
    {
        "−": "-",
        "–": "-",
        "·": "*",
        "×": "*",
        "∗": "*",
        "π": "pi",
        "½": "(1/2)",
        "¼": "(1/4)",
        "¾": "(3/4)",
        "⅓": "(1/3)",
        "⅔": "(2/3)",
        "²": "**2",
        "³": "**3",
        "^": "**",
    }
)
_LATEX = (
    (r"\\\\", ";"),
    (r"\\(?:left|right|displaystyle|,|;|!|\s)", ""),
    (r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}", r"((\1)/(\2))"),
    (r"\\frac\s*(\d)\s*(\d)", r"(\1/\2)"),
    (r"\\sqrt\s*\{([^{}]*)\}", r"sqrt(\1)"),
    (r"\\(?:cdot|times)(?![a-z])", "*"),
    (r"\\(pi|exp|log|ln)(?![a-z])", r"\1"),
    (r"\\(?:begin|end)\s*\{[a-zA-Z*]+\}", ""),
    (r"[{}]", ""),
)
_TRANSPOSED = re.compile(r"(?:ᵀ|\*\*T|\*\*⊤|\.T|')\s*$")


def read_numbers(text: str, shape: tuple[int, ...]) -> list[list[float]]:
    """Return the numbers of an answer as rows, each row a list.

    Args:
        text: The answer.
        shape: The shape of the key, by which ``0,5`` is told apart from two numbers.

    Raises:
        ArgumentError: the answer is no number, vector or matrix; the message shows the position.

    >>> read_numbers("(1, −1/2)", (2,)), read_numbers("[[1, 2], [3, 4]]", (2, 2)), read_numbers("0,5", ())
    ([[1.0, -0.5]], [[1.0, 2.0], [3.0, 4.0]], [[0.5]])
    """
    if len(text) > _MOST_CHARACTERS:
        raise ArgumentError(
            "answer",
            expected=f"at most {_MOST_CHARACTERS} characters",
            got=str(len(text)),
        )
    plain = text.split("=")[-1] if "=" in text else text
    for pattern, replacement in _LATEX:
        plain = re.sub(pattern, replacement, plain)
    plain = re.sub(r"(?:np|numpy)\.array\s*", "", plain).replace("&", ",")
    if len(shape) == 1 or (shape == (3,) and "×" in text):
        plain = plain.replace("×", ",")
    plain = plain.translate(_SIGNS).strip()
    plain = _TRANSPOSED.sub("", plain)
    rows = _rows(plain, shape)
    return [[_number(entry, text) for entry in row] for row in rows]


def _rows(plain: str, shape: tuple[int, ...]) -> list[list[str]]:
    """Split an answer into the texts of its entries."""
    plain = re.sub(r"\]\s*,?\s*\[|\n", ";", plain)
    plain = _without_brackets(plain)
    decimal = r"-?\d+,\d+"
    if not shape:
        return [[plain.replace(",", ".") if re.fullmatch(decimal, plain) else plain]]
    lines = [line for line in plain.split(";") if line.strip()]
    if len(lines) > 1 and all(re.fullmatch(decimal, line.strip()) for line in lines):
        count = math.prod(shape)
        if len(lines) == count:  # decimal commas: 0,5; 1,25
            return [[line.strip().replace(",", ".")] for line in lines]
    rows = []
    for line in lines:
        inner = _without_brackets(line)
        parts = inner.split(",") if "," in inner else _at_spaces(inner)
        rows.append([part.strip() for part in parts if part.strip()])
    return rows


def _at_spaces(text: str) -> list[str]:
    """Split at spaces that do not stand beside an operation: "1 -2" has two numbers, "1 - 2" one."""
    return re.split(r"(?<![-+*/(\s])\s+(?![*/)]|[-+]\s)", text.strip())


def _without_brackets(text: str) -> str:
    """Remove brackets that enclose the whole text."""
    text = text.strip()
    while text[:1] in {"[", "("} and text[-1:] in {"]", ")"}:
        depth, inner = 0, text[1:-1]
        for character in inner:
            depth += (character in "[(") - (character in "])")
            if depth < 0:
                return text
        text = inner.strip()
    return text


def _number(entry: str, text: str) -> float:
    """Evaluate one entry."""
    spelled = re.sub(r"√\s*(\d+(?:\.\d+)?)", r"sqrt(\1)", entry).replace("√", "sqrt")
    spelled = re.sub(r"(?<=[\d)])\s*(?=[a-z(])(?!e[-+]?\d)", "*", spelled)
    try:
        if len(entry) > 200:
            raise SyntaxError
        value = _value(ast.parse(spelled.strip(), mode="eval").body)
    except (
        SyntaxError,
        ValueError,
        ArithmeticError,
        RecursionError,
        KeyError,
    ) as error:
        at = max(text.find(entry.strip()), 0)
        raise ArgumentError(
            f"answer, position {at + 1}",
            expected="a number such as −1.5, 2/3 or √2",
            got=repr(entry.strip()[:40]),
            hint=f"{text[:200]}\n  {' ' * at}^" if "\n" not in text else "",
        ) from error
    if not math.isfinite(value):
        raise ArgumentError("answer", expected="finite numbers", got=entry.strip())
    return value


def _value(node: ast.expr) -> float:
    """Evaluate an arithmetic expression; raise KeyError or ValueError for anything else."""
    if isinstance(node, ast.Constant):
        if isinstance(node.value, bool) or not isinstance(node.value, (int, float)):
            raise ValueError
        return float(node.value)
    if isinstance(node, ast.Name):
        return _CONSTANTS[node.id]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        sign = -1.0 if isinstance(node.op, ast.USub) else 1.0
        return sign * _value(node.operand)
    if isinstance(node, ast.BinOp):
        return _OPERATIONS[type(node.op)](_value(node.left), _value(node.right))
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and len(node.args) == 1
        and not node.keywords
    ):
        return _FUNCTIONS[node.func.id](_value(node.args[0]))
    raise ValueError
