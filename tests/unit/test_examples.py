"""Shares of the public names whose docstrings contain an example, which the doctest run executes."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import deltarule as dr
from support.public import public_classes, public_functions, public_methods

SOURCE = Path(dr.__path__[0])
LEAST_OF_PUBLIC_FUNCTIONS = 0.95
LEAST_OF_PUBLIC_CLASSES = 0.95
LEAST_OF_PUBLIC_METHODS = 0.6
LEAST_OF_ALL_FUNCTIONS = 0.75
LEAST_OF_ALL_CLASSES = 0.8
LEAST_OF_LISTED_FUNCTIONS = 0.95
LEAST_OF_ENGINE_FUNCTIONS = 0.7
LEAST_OF_ENGINE_CLASSES = 0.7
LEAST_OF_TREE_FUNCTIONS = 0.72
LEAST_OF_TREE_CLASSES = 0.68
# The packages that users import from; the others are the engine, the derivations and the command line.
PACKAGES = (
    "data",
    "generative",
    "interop",
    "learners",
    "losses",
    "nn",
    "optim",
    "tensor",
    "train",
)

# The engine and the derivations.
ENGINE = (
    "backends",
    "explain/derivation",
    "explain/exam",
    "explain/formula",
    "explain/page",
    "explain/proof",
    "explain/results",
    "grad",
    "graph",
    "lower",
    "runtime",
    "simplify",
)


def _without_example(documented: Mapping[str, Any]) -> list[str]:
    return [name for name, found in documented.items() if ">>>" not in (found or "")]


def _check(documented: Mapping[str, Any], least: float) -> None:
    missing = _without_example(documented)
    share = 1 - len(missing) / len(documented)
    assert share >= least, f"{share:.1%} have an example; missing: {missing}"


def test_public_functions_have_examples() -> None:
    functions = public_functions()
    assert len(functions) > 200
    _check({n: f.__doc__ for n, f in functions.items()}, LEAST_OF_PUBLIC_FUNCTIONS)


def test_public_classes_have_examples() -> None:
    classes = public_classes()
    assert len(classes) > 200
    _check({n: c.__doc__ for n, c in classes.items()}, LEAST_OF_PUBLIC_CLASSES)


def test_methods_of_public_classes_have_examples() -> None:
    methods = public_methods()
    assert len(methods) > 250
    _check({n: m.__doc__ for n, m in methods.items()}, LEAST_OF_PUBLIC_METHODS)


def _top_level(kind: type[ast.AST], *packages: str) -> dict[str, str | None]:
    """Return the docstrings of all top-level definitions without underscore, also those outside ``__all__``."""
    return {
        f"{path.relative_to(SOURCE)}::{node.name}": ast.get_docstring(node)
        for package in packages
        for path in sorted((SOURCE / package).rglob("*.py"))
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, kind) and not node.name.startswith("_")
    }


def test_top_level_functions_have_examples() -> None:
    functions = _top_level(ast.FunctionDef, *PACKAGES)
    assert len(functions) > 500
    _check(functions, LEAST_OF_ALL_FUNCTIONS)


def test_top_level_classes_have_examples() -> None:
    classes = _top_level(ast.ClassDef, *PACKAGES)
    assert len(classes) > 400
    _check(classes, LEAST_OF_ALL_CLASSES)


def test_top_level_functions_of_the_engine_have_examples() -> None:
    functions = _top_level(ast.FunctionDef, *ENGINE)
    assert len(functions) > 400
    _check(functions, LEAST_OF_ENGINE_FUNCTIONS)


def test_top_level_classes_of_the_engine_have_examples() -> None:
    classes = _top_level(ast.ClassDef, *ENGINE)
    assert len(classes) > 140
    _check(classes, LEAST_OF_ENGINE_CLASSES)


def test_top_level_functions_of_the_whole_tree_have_examples() -> None:
    functions = _top_level(ast.FunctionDef, "")
    assert len(functions) > 1200
    _check(functions, LEAST_OF_TREE_FUNCTIONS)


def test_top_level_classes_of_the_whole_tree_have_examples() -> None:
    classes = _top_level(ast.ClassDef, "")
    assert len(classes) > 600
    _check(classes, LEAST_OF_TREE_CLASSES)


def _listed(path: Path) -> set[str]:
    """Return the names in literal lists of ``__all__``."""
    return {
        name
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign)
        and any(getattr(target, "id", "") == "__all__" for target in node.targets)
        and isinstance(node.value, ast.List)
        for name in ast.literal_eval(node.value)
    }


def test_functions_that_a_module_exports_have_examples() -> None:
    functions = _top_level(ast.FunctionDef, "")
    listed = {
        path: _listed(SOURCE / path)
        for path in {n.partition("::")[0] for n in functions}
    }
    exported = {
        name: text
        for name, text in functions.items()
        if name.partition("::")[2] in listed[name.partition("::")[0]]
    }
    assert len(exported) > 250
    _check(exported, LEAST_OF_LISTED_FUNCTIONS)
