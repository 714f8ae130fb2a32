"""What the exports share: HTML with LaTeX formulas, plain numbers, groups of items, XML and ZIP archives."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from html import escape

from deltarule.explain.exam.questions import Item, Question, points_text
from deltarule.explain.exam.responses import Choice, Numbers, tolerance
from deltarule.explain.exam.sheets import label
from deltarule.render import mathematics as m

HEADER = '<?xml version="1.0" encoding="UTF-8"?>\n'
_DATE = (1980, 1, 1, 0, 0, 0)  # the same exam gives the same bytes


@dataclass(frozen=True)
class Groups:
    """The items of a question with their letters, grouped by how they are answered.

    >>> from deltarule.explain.exam.questions import number_item
    >>> question = Question("What is 1 + 1?", (), (number_item(m.identifier("x"), 2),), "by counting")
    >>> [letter for letter, item, response in groups(question).numbers]
    ['a']
    """

    numbers: tuple[tuple[str, Item, Numbers], ...]
    choices: tuple[tuple[str, Item, Choice], ...]
    written: tuple[tuple[str, Item], ...]


def groups(question: Question) -> Groups:
    """Return the items of a question grouped by how they are answered; formulas and words are written.

    >>> from deltarule.explain.exam.questions import number_item
    >>> question = Question("What is 1 + 1?", (), (number_item(m.identifier("x"), 2),), "by counting")
    >>> groups(question).written
    ()
    """
    numbers, choices, written = [], [], []
    for index, item in enumerate(question.items):
        letter, response = label(index), item.response
        if isinstance(response, Numbers):
            numbers.append((letter, item, response))
        elif isinstance(response, Choice):
            choices.append((letter, item, response))
        else:
            written.append((letter, item))
    return Groups(tuple(numbers), tuple(choices), tuple(written))


def formula(part: m.Formula) -> str:
    r"""Return a formula in HTML: words as text, mathematics as LaTeX in \\( … \\).

    >>> formula(m.Text("a < b")), formula(m.identifier("W_1"))
    ('a &lt; b', '\\(W_{1}\\)')
    """
    if isinstance(part, m.Text):
        return escape(part.text)
    return rf"\({escape(m.to_latex(part), quote=False)}\)"


def stem(question: Question) -> str:
    """Return the text of a question and what is given in HTML.

    >>> stem(Question("What is 1 + 1?", (), (), "by counting"))
    '<p>What is 1 + 1?</p>'
    """
    given = "".join(f"<p>{formula(part)}</p>" for part in question.given)
    return f"<p>{escape(question.text)}</p>{given}"


def asked(letter: str, item: Item, position: str = "") -> str:
    r"""Return what an item asks for in HTML, with the position of one entry.

    >>> from deltarule.explain.exam.questions import number_item
    >>> asked("a", number_item(m.identifier("x"), 2))
    'a) \\(x\\)'
    """
    entry = f" [{position}]" if position else ""
    return f"{letter}) {formula(item.asked)}{entry}"


def key(written: Sequence[tuple[str, Item]], verified: str) -> str:
    r"""Return the key of written items in HTML.

    >>> from deltarule.explain.exam.questions import number_item
    >>> key([("a", number_item(m.identifier("x"), 2))], "by counting")
    '<p>a) \\(x\\): \\(2\\) (1 point)</p><p>verified: by counting</p>'
    """
    lines = "".join(
        f"<p>{letter}) {formula(item.asked)}: {formula(item.answer)} ({points_text(item.points)})</p>"
        for letter, item in written
    )
    return f"{lines}<p>verified: {escape(verified)}</p>"


def number(value: float) -> str:
    """Write a number with a decimal point and without an exponent, ten significant digits.

    >>> number(2.0), number(-1 / 3), number(1e-6)
    ('2', '-0.3333333333', '0.000001')
    """
    return format(Decimal(f"{value + 0.0:.10g}"), "f")


def margin(value: float) -> str:
    """Write the tolerance of a number.

    >>> margin(2.0), margin(0.0)
    ('0.001', '0.001')
    """
    return number(tolerance(value))


def weights(items: Sequence[tuple[str, Item, Numbers]]) -> list[int]:
    """Return whole weights of one entry of each item, in proportion to the points of the items.

    >>> from deltarule.explain.exam.questions import number_item
    >>> item = number_item(m.identifier("x"), 2)
    >>> weights([("a", item, item.response)])
    [1]
    """
    counts = [len(response.entries()) for _, _, response in items]
    common = math.lcm(*counts)
    shares = [item.points / min(i.points for _, i, _ in items) for _, item, _ in items]
    raw = [
        round(100 * common * share / count)
        for share, count in zip(shares, counts, strict=True)
    ]
    divisor = math.gcd(*raw)
    return [part // divisor for part in raw]


def archive(files: Mapping[str, str]) -> bytes:
    """Return a ZIP archive of text files.

    >>> archive({"readme.txt": "text"})[:2]
    b'PK'
    """
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as target:
        for path, content in files.items():
            entry = zipfile.ZipInfo(path, _DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            target.writestr(entry, content.encode())
    return stream.getvalue()
