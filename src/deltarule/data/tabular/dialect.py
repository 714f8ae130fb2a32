"""Detection of how a text file writes a table: separator, quotes, comments, lines before the table."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from deltarule.errors import DataError

_SEPARATORS = (",", ";", "\t", "|")
BLANKS = " "  # the separator of columns that runs of blanks separate
_EXAMINED = 200  # lines that decide the separator
_CONSISTENT = 0.9  # share of the lines that must have the same number of cells
_COMMENTS = ("#", "%")
_NUMBER = re.compile(r"[-+]?(\d+[.,]?\d*|[.,]\d+)([eE][-+]?\d+)?")


@dataclass(frozen=True)
class Dialect:
    r"""How a text file writes a table.

    Attributes:
        separator: The character between cells; a blank stands for runs of blanks and tabs.
        quote: The character around cells with separators or line breaks.
        escape: The character before a quote inside of quotes; the quote itself if it is doubled.
        skip: The number of lines before the table.
        comment: The first character of lines that are left out; "" for none.
        padded: Whether blanks follow the separators, before quotes.

    >>> find_dialect("a;b\n1,5;2\n3,5;4\n").separator
    ';'
    """

    separator: str = ","
    quote: str = '"'
    escape: str = '"'
    skip: int = 0
    comment: str = ""
    padded: bool = False

    @property
    def is_simple(self) -> bool:
        """Whether DuckDB reads the file as it is."""
        return self.separator != BLANKS and not self.comment and not self.padded

    def rows(
        self, lines: Iterator[str], where: str, first: int = 0
    ) -> Iterator[tuple[list[str], int]]:
        """Yield the stripped cells of every line that is not blank, and the number of its first line.

        Args:
            lines: The lines, from the first one that is not skipped.
            where: The name of the file, for errors.
            first: The number of lines before them.
        """
        kept = (
            line
            for line in lines
            if not self.comment or not line.lstrip().startswith(self.comment)
        )
        if self.separator == BLANKS:
            for number, line in enumerate(kept, first + 1):
                if line.strip():
                    yield _words(line), number
            return
        doubled = self.escape == self.quote
        reader = csv.reader(
            kept,
            delimiter=self.separator,
            quotechar=self.quote,
            doublequote=doubled,
            escapechar=None if doubled else self.escape,
            skipinitialspace=self.padded,
            strict=True,
        )
        before = first
        try:
            for row in reader:
                cells = [cell.strip() for cell in row]
                if any(cells):
                    yield cells, before + 1
                before = first + reader.line_num
        except csv.Error as error:
            raise DataError(
                f"{where} line {before + 1}",
                expected="separated cells",
                got=str(error),
            ) from error


def find_dialect(text: str) -> Dialect:
    r"""Return how the beginning of a file writes a table.

    The separator is the one that divides most lines into the same number of cells, at least two.

    Args:
        text: The first lines of the file.

    >>> find_dialect("# made by hand\nx y\n1  2\n3  4\n")
    Dialect(separator=' ', quote='"', escape='"', skip=1, comment='', padded=False)
    """
    lines = re.split(r"\r\n|\n|\r", text)
    given = re.fullmatch(r"\ufeff?\"?sep=(.)\"?", lines[0]) if lines else None
    skip = 1 if given else 0
    quote = _quote(text)
    body = lines[skip:]
    comments = _leading_comments(body)
    body = body[comments:]
    inside = _comment_inside(body, given[1] if given else "", quote)
    body = [line for line in body if not (inside and line.startswith(inside))]
    separator = given[1] if given else _separator(body, quote)
    if comments and _heads(lines[skip + comments - 1], body, separator, quote):
        comments -= 1
    elif not comments and not given:
        comments = _title_lines(body, separator, quote)
    escape = "\\" if f"\\{quote}" in text and f"{quote}{quote}" not in text else quote
    padded = f"{separator} {quote}" in text and separator != BLANKS
    return Dialect(separator, quote, escape, skip + comments, inside, padded)


def _quote(text: str) -> str:
    """Return the quotation mark: a single one if cells begin and end with it and none with a double one."""
    single = re.findall(r"(?:^|[,;\t|])'[^'\n]*'(?=$|[,;\t|])", text, re.MULTILINE)
    return "'" if '"' not in text and len(single) > 1 else '"'


def _leading_comments(lines: Sequence[str]) -> int:
    count = 0
    while count < len(lines) and lines[count].startswith(_COMMENTS):
        count += 1
    return count


def _comment_inside(lines: Sequence[str], separator: str, quote: str) -> str:
    """Return the first character of comments between the rows; lines with as many cells as the rows are none."""
    for mark in _COMMENTS:
        marked = [line for line in lines if line.startswith(mark)]
        rows = [line for line in lines if not line.startswith(mark) and line.strip()]
        if not marked or not rows or 2 * len(marked) > len(rows):
            continue
        used = separator or _separator(rows, quote)
        usual = Counter(line.count(used) for line in rows).most_common(1)[0][0]
        if all(line.count(used) != usual for line in marked):
            return mark
    return ""


def _separator(lines: Sequence[str], quote: str) -> str:
    examined = [line for line in lines[:_EXAMINED] if line.strip()]
    if not examined:
        return ","
    best = max(
        _SEPARATORS,
        key=lambda mark: (*_fit(examined, mark, quote), examined[0].count(mark)),
    )
    if _fit(examined, best, quote)[0]:
        return best
    words = [len(_words(line)) for line in examined]
    number, count = Counter(words).most_common(1)[0]
    numeric = sum(
        _NUMBER.fullmatch(word) is not None
        for line in examined
        for word in _words(line)
    )
    if (
        number > 1
        and count >= _CONSISTENT * len(words)
        and 2 * numeric >= sum(words) - words[0]
    ):
        return BLANKS
    return max(_SEPARATORS, key=examined[0].count)


def _fit(lines: Sequence[str], separator: str, quote: str) -> tuple[bool, bool]:
    """Return whether a separator divides the lines evenly, and whether no cell holds another separator."""
    try:
        rows = list(csv.reader(lines, delimiter=separator, quotechar=quote))
    except csv.Error:
        return False, False
    below = Counter(len(row) for row in rows[1:] or rows)
    number, count = below.most_common(1)[0]
    others = [mark for mark in _SEPARATORS if mark != separator]
    mixed = sum(
        any(mark in cell for mark in others) and not _NUMBER.fullmatch(cell.strip())
        for row in rows
        for cell in row
    )
    even = number > 1 and count >= _CONSISTENT * below.total()
    headed = len(rows[0]) > 1 or number == 2
    return even and headed, mixed <= 0.01 * sum(map(len, rows))


def _heads(line: str, body: Sequence[str], separator: str, quote: str) -> bool:
    """Return whether a comment holds the names of the columns: it has as many cells as the rows below."""
    if not body:
        return False
    dialect = Dialect(separator, quote, quote)
    both = chain([line.lstrip("#% ")], body[:1])
    counts = [len(cells) for cells, _ in dialect.rows(iter(both), "")]
    return len(counts) == 2 and counts[0] == counts[1] > 1


def _title_lines(lines: Sequence[str], separator: str, quote: str) -> int:
    """Return the number of lines before a table of several columns that hold at most one cell."""
    if separator == BLANKS:
        return 0
    examined = (line + "\n" for line in lines[:_EXAMINED])
    try:
        rows = list(Dialect(separator, quote, quote).rows(examined, ""))
    except DataError:
        return 0
    wide = (i for i, (cells, _) in enumerate(rows) if sum(map(bool, cells)) > 1)
    first = next(wide, 0)
    return rows[first][1] - 1 if first else 0


def _words(line: str) -> list[str]:
    """Return the words of a line; quoted words may hold blanks.

    >>> _words('1 "a b"  2')
    ['1', 'a b', '2']
    """
    found = re.findall(r"\"([^\"]*)\"|'([^']*)'|(\S+)", line)
    return [a or b or c for a, b, c in found]
