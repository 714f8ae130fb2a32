"""Mutants of right answers, one change each, labelled by the kind of mistake, drawn from a seed."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from support.answers.expressions import FUNCTIONS, RELATIONS, Tree, apply, tree
from support.answers.networks import NETWORKS

KINDS = (
    "sign",
    "factor",
    "term",
    "missing",
    "symbol",
    "transpose",
    "order",
    "product",
    "axis",
    "threshold",
    "exponent",
    "function",
    "index",
)
SHARE_OF_PYTHON = 5 / 16
_THRESHOLDS = (-1.0, -0.1, -0.01, -0.001, 0.001, 0.01, 0.1, 1.0)
_OF_PYTHON = frozenset({"axis", "index"})
_TRIALS = 60  # places at which a kind of mistake is tried
_FACTORS = (2.0, 0.5, 3.0, 0.2, 5.0, 0.999, 1.0001)


@dataclass(frozen=True)
class Mutant:
    """An answer to the question for ∂L/∂variable; ``formula`` is its tree, None for a Python expression."""

    network: str
    variable: str
    text: str
    kind: str
    origin: str
    formula: Tree | None = None


def mutants(seed: int, count: int) -> list[Mutant]:
    """Return mutants of the answers of all networks."""
    random = np.random.default_rng(seed)
    found: list[Mutant] = []
    while len(found) < count:
        wanted = _choice(random, KINDS)
        python = wanted in _OF_PYTHON or random.random() < SHARE_OF_PYTHON
        for _ in range(_TRIALS):
            mutant = _mutant(random, wanted, python)
            if mutant is not None:
                found.append(mutant)
                break
    return found


def _mutant(random: np.random.Generator, kind: str, python: bool) -> Mutant | None:
    """Return a mutant of an answer at a place, if one of this kind is possible there."""
    name = _choice(random, list(NETWORKS))
    network = NETWORKS[name]
    answers: Any = network.python if python else network.formulas
    variable = _choice(random, list(answers))
    origin = _choice(random, answers[variable])
    changed = (_of_python if python else _of_formula)(random, origin, name, kind)
    if changed is None or changed[0] == str(origin):
        return None
    return Mutant(name, variable, changed[0], kind, str(origin), changed[1])


def _choice(random: np.random.Generator, values: Any) -> Any:
    return values[int(random.integers(len(values)))]


# ---------------------------------------------------------------- formulas


def _of_formula(
    random: np.random.Generator, origin: Tree, name: str, kind: str
) -> tuple[str, Tree] | None:
    path, part = _choice(random, list(origin.places()))
    names = sorted({str(p.data) for _, p in origin.places() if p.kind == "symbol"})
    names += [name for name in NETWORKS[name].shapes if name not in {*names, "lambda"}]
    changes = [other for label, other in _changes(random, part, names) if label == kind]
    if not changes:
        return None
    changed = origin.put(path, _choice(random, changes))
    return str(changed), changed


def _changes(
    random: np.random.Generator, part: Tree, names: list[str]
) -> Iterator[tuple[str, Tree]]:
    """Yield the mutants of one part of a formula."""
    yield "sign", -part
    yield "factor", _choice(random, _FACTORS) * part
    parts = part.parts
    if part.kind in {"add", "subtract"}:
        left, right = parts
        yield "sign", left - right if part.kind == "add" else left + right
        yield "term", left
        yield "term", right if part.kind == "add" else -right
    if part.kind in {"product", "entrywise"}:
        left, right = parts
        yield "missing", left
        yield "missing", right
        yield "order", right @ left
        yield "product", left * right if part.kind == "product" else left @ right
    if part.kind == "divide":
        yield "missing", parts[0]
    if part.kind == "transpose":
        yield "transpose", parts[0]
    elif part.kind != "number":
        yield "transpose", part.T
    if part.kind == "symbol":
        others = [name for name in names if name != part.data]
        yield "symbol", Tree("symbol", (), _choice(random, others))
        yield "function", apply(_choice(random, ("tanh", "σ", "exp", "cos")), part)
    if part.kind == "number":
        yield "factor", tree(float(part.data) + _choice(random, (1.0, -0.5, 0.01)))
    if part.kind == "power":
        yield "exponent", parts[0] ** _choice(random, (3.0, 1.0))
    if part.kind == "function":
        others = [name for name in FUNCTIONS if name not in {part.data, "log", "sqrt"}]
        yield "function", apply(_choice(random, others), parts[0])
        yield "function", parts[0]
    if part.kind in RELATIONS:
        moved = float(part.data) + _choice(random, _THRESHOLDS)
        yield "threshold", Tree(part.kind, parts, moved)
        turned = _choice(random, [r for r in RELATIONS if r != part.kind])
        yield "threshold", Tree(turned, parts, part.data)


# ---------------------------------------------------------------- Python


def _of_python(
    random: np.random.Generator, origin: str, name: str, kind: str
) -> tuple[str, None] | None:
    parsed = ast.parse(origin, mode="eval")
    places = [
        (holder, field, index)
        for holder in ast.walk(parsed)
        for field, value in ast.iter_fields(holder)
        for index in (range(len(value)) if isinstance(value, list) else (None,))
        if isinstance(value[index] if index is not None else value, ast.expr)
        and not (isinstance(holder, ast.Call) and field == "func")
    ]
    holder, field, index = _choice(random, places)
    part = getattr(holder, field) if index is None else getattr(holder, field)[index]
    names = sorted(
        {n.id for n in ast.walk(parsed) if isinstance(n, ast.Name)} - {"np", "len"}
        | set(NETWORKS[name].shapes) - {"lambda"}
    )
    changes = [
        text for label, text in _python_changes(random, part, names) if label == kind
    ]
    if not changes:
        return None
    other = ast.parse(f"({_choice(random, changes)})", mode="eval").body
    if index is None:
        setattr(holder, field, other)
    else:
        getattr(holder, field)[index] = other
    return ast.unparse(ast.fix_missing_locations(parsed)), None


_SWAPS: dict[type, tuple[tuple[str, str], ...]] = {
    ast.Add: (("sign", "{l} - {r}"), ("term", "{l}"), ("term", "{r}")),
    ast.Sub: (("sign", "{l} + {r}"), ("term", "{l}"), ("term", "-{r}")),
    ast.Mult: (("product", "{l} @ {r}"), ("missing", "{l}"), ("missing", "{r}")),
    ast.MatMult: (
        ("product", "{l} * {r}"),
        ("order", "{r} @ {l}"),
        ("missing", "{l}"),
        ("missing", "{r}"),
    ),
    ast.Div: (("missing", "{l}"), ("factor", "{l} * {r}")),
    ast.Pow: (("exponent", "{l} ** 3"), ("exponent", "{l}")),
}
_NONSENSE = (
    "{t}[0]",
    "{t}[:, None]",
    "{t}[None, :]",
    "{t}[::-1]",
    "{t}[:, oops]",
    "{t}[foo:bar]",
    "{t}[:, -1]",
    "{t}[1:]",
    "{t}.sum(axis=whatever)",
    "{t}.sum(axis=5)",
    "{t}[:, :, 0]",
    "{t}[i]",
)


def _python_changes(
    random: np.random.Generator, part: ast.expr, names: list[str]
) -> Iterator[tuple[str, str]]:
    """Yield the mutants of one part of an expression as text."""
    text = ast.unparse(part)
    if isinstance(part, ast.Name) and part.id in {"np", "len"}:
        return
    if isinstance(part, ast.Constant) and part.value is None:
        return
    if isinstance(part, (ast.Slice, ast.Tuple)):
        return
    if isinstance(part, ast.Constant) and isinstance(part.value, str):
        yield "index", repr(part.value[::-1])
        return
    yield "sign", f"-({text})"
    yield "factor", f"{_choice(random, _FACTORS)} * ({text})"
    if not isinstance(part, ast.Constant):
        yield "transpose", f"({text}).T"
        yield "index", _choice(random, _NONSENSE).format(t=f"({text})")
    if isinstance(part, ast.BinOp):
        sides = {
            "l": f"({ast.unparse(part.left)})",
            "r": f"({ast.unparse(part.right)})",
        }
        for kind, pattern in _SWAPS[type(part.op)]:
            yield kind, pattern.format(**sides)
    if isinstance(part, ast.Attribute) and part.attr == "T":
        yield "transpose", ast.unparse(part.value)
    if isinstance(part, ast.Name):
        others = [name for name in names if name != part.id]
        yield "symbol", _choice(random, others)
        yield (
            "function",
            f"np.{_choice(random, ('tanh', 'exp', 'cos', 'sign'))}({text})",
        )
    if isinstance(part, ast.Compare):
        left, bound = ast.unparse(part.left), ast.unparse(part.comparators[0])
        yield "threshold", f"{left} > {bound} + {_choice(random, _THRESHOLDS)}"
        yield "threshold", f"{left} {_choice(random, ('<', '<=', '>='))} {bound}"
    if isinstance(part, ast.Call):
        yield from _call_changes(random, part)


def _call_changes(
    random: np.random.Generator, part: ast.Call
) -> Iterator[tuple[str, str]]:
    other = copy.deepcopy(part)
    for keyword in other.keywords:
        if keyword.arg == "axis" and isinstance(keyword.value, ast.Constant):
            keyword.value = ast.Constant(1 - keyword.value.value)
            yield "axis", ast.unparse(other)
    if other.keywords:
        other.keywords = []
        yield "axis", ast.unparse(other)
    if isinstance(part.func, ast.Attribute):
        name = part.func.attr
        swaps = {
            "tanh": "exp",
            "exp": "tanh",
            "sum": "mean",
            "mean": "sum",
            "outer": "multiply",
            "maximum": "minimum",
        }
        if name in swaps:
            turned = copy.deepcopy(part)
            assert isinstance(turned.func, ast.Attribute)
            turned.func.attr = swaps[name]
            yield "function", ast.unparse(turned)
    if len(part.args) > 1:
        turned = copy.deepcopy(part)
        turned.args = turned.args[::-1]
        yield "order", ast.unparse(turned)
