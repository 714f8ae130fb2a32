r"""The lines of a derivation as it was typed: without numbering, comments, connectives and LaTeX environments."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from deltarule.errors import ArgumentError
from deltarule.explain.reading.tokens import shown_part

MOST_LINES, MOST_CHARACTERS, LONGEST = 300, 40_000, 2000
_MOST_JOINED = 12  # physical lines of one formula
_MATRICES = r"cases|dcases|rcases|[pbvBV]?matrix|smallmatrix|array|bmatrix\*|pmatrix\*"
_FRAME = re.compile(
    r"\\(?:begin|end)\s*\{(?!(?:" + _MATRICES + r")\})[A-Za-z]+\*?\}(?:\[[^\]]*\])?"
)
_INNER = re.compile(r"\\(begin|end)\s*\{(?:" + _MATRICES + r")\}")
_DISPLAY = re.compile(r"\\\[|\\\]|\\\(|\\\)|\$\$?|```\w*|~~~")
_UNWRAPPED = re.compile(r"\\(?:boxed|fbox|underline|textcolor\{\w+\}|color\{\w+\})\s*")
_DROPPED = re.compile(
    r"\\(?:label|tag|eqref|ref|intertext|shortintertext|hspace|vspace|color)\*?\s*\{[^{}]*\}|"
    r"\\(?:nonumber|notag|centering|noindent|item|par|hline|because)(?![A-Za-z])"
)
_WORDS = re.compile(r"\\(?:text|textrm|mbox|textit|textbf|mathrm)\s*\{([^{}]*)\}")
_EQUALS = re.compile(
    r"\\(?:overset|stackrel)\s*\{[^{}]*\}\s*\{?=\}?|\\(?:triangleq|equiv|coloneqq|coloneq|eqqcolon|doteq|defeq)(?![A-Za-z])|"
    r"≡|≜|≝|≔|≕|:=|=:|==+"
)
_SO = re.compile(
    r"⇒|⟹|⇔|⟺|⟶|∴|∵|\\(?:Rightarrow|Longrightarrow|implies|iff|Leftrightarrow|Longleftrightarrow|therefore|leadsto)"
    r"(?![A-Za-z])|=>|⊢|\|-|(?<![-<])-+>"
)
_NUMBER = re.compile(
    r"\s*(?:[(\[]\s*(?:\d{1,3}|[ivx]{1,4}|[a-h])\s*[)\]]|(?:\d{1,3}(?:\.\d{1,2})*|[ivx]{2,4}|[a-h])[.):](?=\s)|"
    r"(?:[Ss]tep|[Ll]ine|[Ee]q\.?|[Ee]quation|[Pp]art)\s*\(?\d{1,3}\)?\s*[.:)–—-]?|\d{1,3}(?=\s{2,}\S))\s*"
)
_BULLET = re.compile(r"\s*[•*—]\s+(?=.*=)")
_DASH = re.compile(r"\s*[–-]\s+(?=.*=)")  # a bullet if several lines begin with it
_BARE_NUMBER = re.compile(r"\s*(\d{1,3})\s+(?=\S)")
_END_NUMBER = re.compile(r"\s+\((\d{1,3})\)\s*$")
_SHAPE = re.compile(
    r"(?<=\S)\s{2,}(?:\d+|\w+(?:×\w+)+)(?:\s{2,}\S.*)?$|(?:\s{2,}|\t)\(\d{1,3}\)\s*$|(?:\s{2,}|\t)\[\d{1,3}\]\s*$"
)
_ASIDE = re.compile(r"&&.*?(?=\\\\|$)")  # a column of remarks
_CONTINUES = re.compile(r"\s*(?:&\s*)?=(?!=)")
_OPERATOR = re.compile(
    r"\s*(?:&\s*)?(?:\+|⊙|\\odot|\\cdot|\\times|·|\*|×|@)(?!\s*\S*\s*=)"
)
_OPEN_END = re.compile(r"(?:[=+⊙·*×@−(\[,]|\\odot|\\cdot|\\times|\s-)\s*$")

_CONNECTIVES = (
    "so thus hence therefore then now finally and also let where with by since because as gives get we have "
    "first next last similarly likewise using from the is analogously again but while which yields"
)


@dataclass(frozen=True)
class TextLine:
    """A line of a derivation.

    ``number`` counts the lines of the text from 1, ``shown`` is the line as typed, ``formula`` what is left of it to
    read, and ``continues`` whether it begins with "=" and goes on with the line before.
    """

    number: int
    shown: str
    formula: str
    continues: bool = False


def text_lines(text: str, python: bool = False) -> list[TextLine]:
    r"""Return the lines of a text that are not empty.

    Raises:
        ArgumentError: the text is longer than any derivation.

    >>> [line.formula for line in text_lines("(1) δ₂ = ŷ − y  % output\n⇒ ∂L/∂b₂ &= δ₂ \\\\")]
    ['δ₂ = ŷ − y', '∂L/∂b₂ = δ₂']
    """
    whole = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n")
    physical = whole.split("\n")
    for expected, got, most in (
        ("lines", sum(1 for line in physical if line.strip()), MOST_LINES),
        ("characters", len(whole), MOST_CHARACTERS),
    ):
        if got > most:
            raise ArgumentError(
                "derivation", expected=f"at most {most:,} {expected}", got=f"{got:,}"
            )
    if python:
        typed = [(i, line) for i, line in enumerate(physical, 1) if line.strip()]
        return _joined([_of_python(number, line) for number, line in typed])
    starts = [_BARE_NUMBER] if _is_numbered(physical) else []
    starts += (
        [_DASH] if sum(_DASH.match(line) is not None for line in physical) > 1 else []
    )
    ended = _ends_numbered(physical)
    lines: list[TextLine] = []
    for number, line in enumerate(physical, start=1):
        lines += _of_mathematics(number, line, starts, ended)
    return _divided(_joined(lines))


def _of_python(number: int, line: str) -> TextLine:
    code, _, _ = line.partition("#")
    return TextLine(number, line.rstrip(), code.strip())


def _is_numbered(lines: Sequence[str]) -> bool:
    """Whether lines begin with 1, 2, 3 …, so that these are their numbers and no factors."""
    found = [int(m[1]) for line in lines if (m := _BARE_NUMBER.match(line))]
    return len(found) >= 2 and found == list(range(found[0], found[0] + len(found)))


def _ends_numbered(lines: Sequence[str]) -> bool:
    found = [int(m[1]) for line in lines if (m := _END_NUMBER.search(line))]
    return len(found) >= 2 and found == list(range(found[0], found[0] + len(found)))


def _of_mathematics(
    number: int, line: str, starts: Sequence[re.Pattern[str]], ended: bool
) -> list[TextLine]:
    """Return a physical line without what is no formula; nothing for an empty one."""
    shown = line.strip()
    if not shown:
        return []
    if len(line) > LONGEST:
        formula = f"a line of {len(line)} characters: {shown_part(shown)}"
        return [TextLine(number, formula, "")]
    plain = re.sub(r"(?<!\\)%.*$|(?<!\S)(?:#|//)\s.*$|←.*$|⟵.*$", "", line)
    framed = _DISPLAY.sub(" ", _FRAME.sub(" ", plain))
    if not framed.strip() and not re.search(r"[^\W\d_]", _FRAME.sub("", line)):
        return []
    plain = _SHAPE.sub("", _ASIDE.sub("", framed).rstrip())
    if ended:
        plain = _END_NUMBER.sub("", plain)
    for start in (*starts, _BULLET, _NUMBER):
        plain = plain[found.end() :] if (found := start.match(plain)) else plain
    plain = _without_marks(_UNWRAPPED.sub("", _DROPPED.sub(" ", plain)))
    plain = _WORDS.sub(_without_words, plain)
    plain = _SO.sub(" ⇒ ", _EQUALS.sub("=", plain))
    continues = _CONTINUES.match(plain) is not None
    return [TextLine(number, shown, plain.strip(" ⇒"), continues)]


def _without_marks(text: str) -> str:
    r"""Return a formula without the braces above and below its parts: \underbrace{x}_{y} is {x}.

    >>> _without_marks(r"\underbrace{W^{\top}d}_{a_{1}} + \overbrace{e}")
    '{W^{\\top}d} + {e}'
    """
    for _ in range(_MOST_JOINED):
        found = re.search(r"\\(?:under|over)brace\s*(?=\{)", text)
        if found is None:
            return text
        end = _group_end(text, found.end())
        script = re.match(r"\s*[_^]\s*(?=\{)", text[end:])
        after = _group_end(text, end + script.end()) if script else end
        text = text[: found.start()] + text[found.end() : end] + text[after:]
    return text


def _group_end(text: str, start: int) -> int:
    """Return the position after the braced group that begins at a position."""
    depth = 0
    for place in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0:
            return place + 1
    return len(text)


def _without_words(match: re.Match[str]) -> str:
    r"""Drop the words of \text{so we get}, and keep names such as \text{ReLU}."""
    words = match[1].strip()
    has_words = re.search(r"[^\W\d_]{2}", words) is not None
    connects = words.lower() in _CONNECTIVES.split() or not words.isalnum()
    prose = not words or (has_words and (" " in words or connects))
    return " ⇒ " if prose else match[0]


# ---------------------------------------------------------------- lines that belong together


def _depth(text: str) -> int:
    """Count the brackets and matrices of LaTeX that are open at the end of a text."""
    depth = 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        depth = max(depth, 0)
    environments = [match[1] for match in _INNER.finditer(text)]
    return depth + environments.count("begin") - environments.count("end")


def _joined(lines: Sequence[TextLine]) -> list[TextLine]:
    """Join the lines of one formula: while a bracket or matrix is open, after and before an operator."""
    result: list[TextLine] = []
    waiting = list(lines)
    while waiting:
        line = waiting.pop(0)
        taken = 0
        formula = line.formula
        while _depth(formula) > 0 and taken < min(len(waiting), _MOST_JOINED):
            formula += "\n" + waiting[taken].formula
            taken += 1
        if _depth(formula) > 0:  # never closed
            taken, formula = 0, line.formula
        shown = [line.shown, *(other.shown for other in waiting[:taken])]
        del waiting[:taken]
        before = result[-1] if result else None
        goes_on = before is not None and _goes_on(before, formula)
        if goes_on and before is not None:
            joined = f"{before.formula}\n{formula}"
            typed = "\n".join([before.shown, *shown])
            result[-1] = replace(before, shown=typed, formula=joined)
        else:
            result.append(replace(line, shown="\n".join(shown), formula=formula))
    return result


def _goes_on(before: TextLine, formula: str) -> bool:
    """Whether a formula is the rest of the one before it."""
    if "=" not in before.formula or not formula:
        return False
    if before.formula.count("\n") > _MOST_JOINED:
        return False
    end = _OPEN_END.search(before.formula.rstrip("\\ ").rstrip("&"))
    ends = end is not None and (end[0].strip() == "=" or "=" not in formula)
    rest = _OPERATOR.match(formula) is not None and "=" not in formula
    minus = re.match(r"\s*(?:&\s*)?[-−]", formula) is not None and "=" not in formula
    return ends or rest or minus


def _divided(lines: Sequence[TextLine]) -> list[TextLine]:
    r"""Divide lines at \\, and drop the marks of alignment."""
    result: list[TextLine] = []
    for line in lines:
        rows = _rows(line.formula)
        for row in rows:
            continues = _CONTINUES.match(row) is not None
            shown = row.strip() if len(rows) > 1 else line.shown
            result.append(TextLine(line.number, shown, row.strip(), continues))
        if not rows:
            result.append(replace(line, formula=""))
    return result


def _rows(formula: str) -> list[str]:
    r"""Return the rows of a formula between \\, those of matrices and cases left whole."""
    rows = [""]
    depth = 0
    for piece in re.split(
        r"(\\\\(?:\s*\[[^\]]*\])?|\\(?:begin|end)\s*\{[A-Za-z*]+\}|(?<!\\)&)", formula
    ):
        depth += bool(re.match(r"\\begin", piece)) - bool(re.match(r"\\end", piece))
        if depth <= 0 and piece.startswith("\\\\"):
            rows.append("")
        elif depth > 0 or piece != "&":
            rows[-1] += piece
    return [row for row in rows if row.strip()]
