"""A strict reader of the LaTeX that explanations write: what TeX would refuse is an error with its place."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NoReturn

import pytest

from deltarule.explain.derivation.derivation import Derived, Deriver
from unit.explain.read_back import printed, wrong_readings

_SYMBOLS = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi chi psi "
    "omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega cdot odot ge le ne partial in times sum nabla "
    "infty star to leftarrow approx dots surd perp tfrac12 ast top otimes ell circ lfloor rfloor pm langle rangle "
    "Vert vert quad qquad"
)
SYMBOLS = set(_SYMBOLS.split())
ONE_ARGUMENT = {
    "operatorname",
    "mathrm",
    "mathbb",
    "mathbf",
    "hat",
    "bar",
    "tilde",
    "dot",
    "sqrt",
    "text",
    "tag",
}
TWO_ARGUMENTS = {"frac", "tfrac"}
DELIMITERS = re.compile(
    r"[()\[\]|.]|\\(?:Vert|vert|\{|\}|lfloor|rfloor|langle|rangle)(?![a-zA-Z])"
)
ENVIRONMENTS = {
    "align*": True,
    "pmatrix": True,
    "document": False,
}  # name → whether & and \\ have a meaning inside


class LatexReader:
    """Read mathematics as TeX does: groups, arguments, scripts, fences and environments."""

    def __init__(self, source: str) -> None:
        self.source = re.sub(r"(?<!\\)%[^\n]*", "", source)
        self.at = 0
        self.aligned = [False]

    def fail(self, expected: str) -> NoReturn:
        around = self.source[max(0, self.at - 40) : self.at + 20]
        raise AssertionError(f"position {self.at}: expected {expected} in …{around}…")

    def space(self) -> None:
        while self.at < len(self.source) and self.source[self.at].isspace():
            self.at += 1

    def take(self, text: str) -> bool:
        self.space()
        if not self.source.startswith(text, self.at):
            return False
        self.at += len(text)
        return True

    def need(self, text: str) -> None:
        if not self.take(text):
            self.fail(repr(text))

    def mathematics(self, *ends: str) -> None:
        """Read up to one of the ends, which is left."""
        scripts = ""  # those that the last atom has
        while True:
            self.space()
            if any(self.source.startswith(end, self.at) for end in ends):
                return
            if self.at >= len(self.source):
                if ends:
                    self.fail(" or ".join(ends))
                return
            sign = self.source[self.at]
            if sign in "_^":
                if sign in scripts:
                    self.fail("one subscript and one superscript at most")
                scripts += sign
                self.at += 1
                self.argument()
            elif sign == "'":
                if "^" in scripts and "'" not in scripts:
                    self.fail("a prime before the superscript")
                scripts += "^'"
                self.at += 1
            else:
                scripts = ""
                self.atom()

    def argument(self) -> None:
        self.space()
        if self.at >= len(self.source) or self.source[self.at] in "}&_^'$":
            self.fail("an argument")
        self.atom()

    def group(self, text: bool = False) -> None:
        self.need("{")
        if text:
            self.words()
        else:
            self.aligned.append(False)
            self.mathematics("}")
            self.aligned.pop()
        self.need("}")

    def words(self) -> None:
        """Read the words of a text command; $…$ is mathematics."""
        while self.at < len(self.source) and self.source[self.at] != "}":
            sign = self.source[self.at]
            if sign == "$":
                self.at += 1
                self.mathematics("$")
                self.at += 1
            elif sign == "\\":
                known = re.compile(
                    r"\\(text(backslash|asciicircum|asciitilde)\{\}|[{}&%#_$])"
                )
                match = known.match(self.source, self.at)
                if match is None:
                    self.fail("a known command of text")
                self.at = match.end()
            elif sign in "&%#_^{~" or ord(sign) > 126:
                self.fail("words")
            else:
                self.at += 1

    def atom(self) -> None:
        sign = self.source[self.at]
        if sign == "{":
            self.group()
        elif sign == "\\":
            self.command()
        elif sign == "&":
            if not self.aligned[-1]:
                self.fail("& only inside an environment")
            self.at += 1
        elif sign in "}$#%~" or ord(sign) > 126:
            self.fail("mathematics in ASCII")
        else:
            self.at += 1

    def command(self) -> None:
        match = re.compile(r"\\([a-zA-Z]+|.)").match(self.source, self.at)
        if match is None:
            self.fail("a command")
        self.at, name = match.end(), match.group(1)
        if name in ONE_ARGUMENT:
            self.group(text=name == "text")
        elif name in TWO_ARGUMENTS:
            self.argument(), self.argument()
        elif name == "left":
            self.fence()
            self.aligned.append(False)
            self.mathematics(r"\right")
            self.aligned.pop()
            self.need(r"\right")
            self.fence()
        elif name == "begin":
            self.environment()
        elif name == "[":
            self.mathematics(r"\]")
            self.need(r"\]")
        elif name == "\\":
            if not self.aligned[-1]:
                self.fail(r"\\ only inside an environment")
        elif name not in SYMBOLS and name not in set("{}%#&_,;! "):
            self.at = match.start()
            self.fail("a known command")

    def fence(self) -> None:
        self.space()
        match = DELIMITERS.match(self.source, self.at)
        if match is None:
            self.fail("a delimiter")
        self.at = match.end()

    def environment(self) -> None:
        match = re.compile(r"\{([a-z*]+)\}").match(self.source, self.at)
        if match is None or match.group(1) not in ENVIRONMENTS:
            self.fail("a known environment")
        self.at = match.end()
        self.aligned.append(ENVIRONMENTS[match.group(1)])
        end = rf"\end{{{match.group(1)}}}"
        self.mathematics(end)
        self.need(end)
        self.aligned.pop()


def read_latex(source: str) -> None:
    """Fail where TeX would: unbalanced groups, double scripts, unknown commands, misplaced & and signs."""
    LatexReader(source).mathematics()


@pytest.fixture(name="read_latex")
def _read_latex() -> Callable[[str], None]:
    return read_latex


_READ_BACK: set[tuple[str, ...]] = set()  # what need not be read twice


@pytest.fixture(autouse=True)
def every_printed_line_is_read_back(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Read every line of every derivation that a test makes, in text, LaTeX and index notation."""
    made: list[Derived] = []
    derive = Deriver.derive

    def recorded(deriver: Deriver) -> Derived:
        made.append(derive(deriver))
        return made[-1]

    monkeypatch.setattr(Deriver, "derive", recorded)
    yield
    monkeypatch.undo()
    for derived in made:
        texts = tuple(text for _, text, _ in printed(derived))
        if texts not in _READ_BACK:
            _READ_BACK.add(texts)
            assert not wrong_readings(derived)
