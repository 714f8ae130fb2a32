"""Budgets of the tree: files and functions of a readable size, nothing left to do, no oracle skipped in silence."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "src").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
MOST_LINES_OF_A_FILE = 600
LINES_WITHOUT_A_REASON = 500
MOST_TOKENS_OF_A_LINE = 9.0
MOST_LINES_KEPT_FROM_THE_FORMATTER = 50
MOST_LINES_OF_A_FUNCTION = 60

# Longer on purpose: "path::name" → why it reads better in one piece.
LONG_FUNCTIONS: dict[str, str] = {
    "src/deltarule/train/fitting/fit.py::fit": "twenty-five options, one a line in the signature",
    "src/deltarule/train/fitting/learning_rate_range.py::learning_rate_range": "as fit",
    "src/deltarule/train/many_models/fit_many.py::fit_many": "as fit",
    "src/deltarule/backends/native/contraction/contraction.py::_emit_tiles": "one loop nest",
}
LONG_FILES = {
    "src/deltarule/explain/formula/algebra.py": "the constructors of all terms, each with its rules",
    "src/deltarule/explain/reading/grammar.py": "one grammar of formulas, a recursive descent",
    "src/deltarule/generative/autoencoders/vae.py": "the model, its bound, its sampling and its saving",
    "src/deltarule/interop/onnx/networks.py": "one function for every operator with weights or windows",
    "src/deltarule/backends/native/loops/expressions.py": "one case for each kind of expression, scalar and vector",
    "src/deltarule/backends/native/loops/emit.py": "nests and scatters share loops, lanes and masks",
    "src/deltarule/backends/native/contraction/tiling.py": "one schedule: tiles, their sizes and blocks",
    "src/deltarule/lower/loops.py": "the expressions and statements of the loop IR, each with an example",
    "src/deltarule/learners/naive_bayes/bayes.py": "four models with one base, each with its arguments and an example",
    "src/deltarule/render/mathematics.py": "one kind of formula, three writers: a branch in each for every part",
    "src/deltarule/data/augment.py": "one short class for every augmentation, with the random numbers that they share",
    "src/deltarule/train/monitoring/callbacks.py": "the callbacks, each with its arguments and an example",
    "src/deltarule/tensor/tensor.py": "the user's handle: one short method for each of NumPy's habits",
    "src/deltarule/nn/module/module.py": "what users call on a model, each method with an example",
    "src/deltarule/nn/module/tree.py": "what users call on parameters and submodules, each method with an example",
    "src/deltarule/train/monitoring/metrics.py": "the metrics, each with its formula and an example",
}


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]


def _lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the lines of a function without its docstring: a long example is no long function."""
    length = (node.end_lineno or node.lineno) - node.lineno + 1
    first = node.body[0]
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return length - (
        (first.end_lineno or first.lineno) - first.lineno + 1 if documented else 0
    )


def test_there_is_something_to_measure():
    assert len(SOURCES) > 40
    assert len(TESTS) > 5


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_file_is_within_its_budget(path):
    count = len(path.read_text(encoding="utf-8").splitlines())
    assert count <= MOST_LINES_OF_A_FILE, (
        f"{_name(path)} has {count} lines: split it by concept"
    )


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_functions_fit_on_a_screen(path):
    long = {f"{_name(path)}::{node.name}": _lines(node) for node in _functions(path)}
    long = {
        name: count for name, count in long.items() if count > MOST_LINES_OF_A_FUNCTION
    }
    assert set(long) <= set(LONG_FUNCTIONS), f"longer than a screen: {long}"


def test_long_files_give_a_reason():
    long = {
        _name(path)
        for path in SOURCES
        if len(path.read_text(encoding="utf-8").splitlines()) > LINES_WITHOUT_A_REASON
    }
    assert long == set(LONG_FILES)


def test_every_exception_to_the_budget_is_still_needed():
    present = {
        f"{_name(path)}::{node.name}"
        for path in SOURCES
        for node in _functions(path)
        if _lines(node) > MOST_LINES_OF_A_FUNCTION
    }
    assert set(LONG_FUNCTIONS) <= present
    assert all(LONG_FUNCTIONS.values())


def _tokens_and_lines(path: Path) -> tuple[int, int]:
    """Count the tokens of a file and the lines that hold any, docstrings and comments left out."""
    text = path.read_text(encoding="utf-8")
    documented: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(
            node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        ):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                end = first.end_lineno or first.lineno
                documented.update(range(first.lineno, end + 1))
    layout = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT}
    layout |= {tokenize.DEDENT, tokenize.ENDMARKER}
    tokens, lines = 0, set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in layout and token.start[0] not in documented:
            tokens += 1
            lines.update(range(token.start[0], token.end[0] + 1))
    return tokens, len(lines)


def test_lines_can_be_read_at_a_glance():
    counts = [_tokens_and_lines(path) for path in SOURCES]
    density = sum(tokens for tokens, _ in counts) / sum(lines for _, lines in counts)
    assert density <= MOST_TOKENS_OF_A_LINE, f"{density:.2f} tokens a line of code"


def test_the_formatter_writes_nearly_everything():
    kept = [
        f"{_name(path)}:{number}"
        for path in (*SOURCES, *TESTS)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(r"#\s*fmt:\s*(skip|off)", line)
    ]
    assert len(kept) <= MOST_LINES_KEPT_FROM_THE_FORMATTER, kept


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_nothing_is_left_to_do(path):
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"\b(TODO|FIXME|XXX|HACK)\b", text)
    stubs = [
        node.name
        for node in _functions(path)
        if "NotImplementedError" in ast.dump(node)
    ]
    assert not stubs, f"{_name(path)}: {stubs} raise NotImplementedError"


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_silenced_checks_give_a_reason(path):
    """``# noqa: ARG002  # layers use them``: the second remark on the line is the reason."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        silenced = re.search(r"#\s*(type:\s*ignore|noqa|pragma: no cover)(.*)$", line)
        assert not silenced or re.search(r"#\s*\S+\s+\S+", silenced[2]), (
            f"{_name(path)}:{number} gives no reason"
        )


def test_no_oracle_is_skipped_in_silence():
    oracles = "torch|numpy|scipy|sklearn|hypothesis"
    for path in TESTS:
        text = path.read_text(encoding="utf-8")
        assert not re.search(rf"importorskip\([\"']({oracles})", text), (
            f"{_name(path)} would skip where an oracle is missing"
        )


def _shared_generators(tree: ast.Module) -> set[str]:
    return {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
        for target in node.targets
        if isinstance(target, ast.Name)
        and ast.unparse(node.value.func).endswith(("default_rng", "Random"))
    }


def test_no_test_draws_numbers_that_depend_on_other_tests() -> None:
    """A generator of a whole file may fill its tables, in their order; what runs makes a generator of its own."""
    wrong = []
    for path in TESTS:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        shared = _shared_generators(tree)
        for node in _functions(path) if shared else ():
            names = (x for line in node.body for x in ast.walk(line))
            if any(isinstance(x, ast.Name) and x.id in shared for x in names):
                wrong.append(f"{_name(path)}::{node.name}")
    assert not wrong, f"make a generator in each of {wrong}"


# Imported when a test first uses them: PyTorch alone takes two seconds of each collection.
LATE = {"torch", "onnxruntime", "pandas", "polars", "umap", "matplotlib", "jax"}
TORCHS_OWN = {"tests/support/torch_layers.py"}  # itself imported late


def test_collecting_imports_no_large_library() -> None:
    wrong = set()
    for path in TESTS:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            modules = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            if any(
                name.split(".")[0] in LATE or name == "safetensors.torch"
                for name in modules
            ):
                wrong.add(_name(path))
    assert wrong == TORCHS_OWN, f"import from support.oracles: {wrong - TORCHS_OWN}"
