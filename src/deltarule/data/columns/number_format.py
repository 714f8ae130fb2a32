"""Notations of numbers: decimal commas, thousands separators, currencies, percent signs and units."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# Texts for a missing number, in lower case; an empty cell is missing in every column.
_ABSENT = (
    "- -- --- . .. ... ? ?? * – — − n/a n.a. n.a na #n/a #na nan -nan null (null) none nil \\n missing unknown unk "
    "undefined #value! #div/0! #ref! #name? #null! #num!"
)
MISSING_NUMBERS = frozenset(_ABSENT.split()) | {
    "not available",
    "not applicable",
    "no data",
}
_CURRENCIES = "$€£¥₹₽₩₺₫฿¢"
_CODES = "USD|EUR|GBP|CHF|JPY|CNY|INR|AUD|CAD|US\\$|R\\$|Rs\\.?"
_SHARE = 0.95  # of the cells that a notation has to read
_MULTIPLES = {"k": 1e3, "m": 1e6, "mn": 1e6, "b": 1e9, "bn": 1e9, "t": 1e12}
_CELL = re.compile(
    rf"(?P<open>\()?\s*(?P<sign>[-+−])?\s*(?P<prefix>[{_CURRENCIES}]|(?:{_CODES})(?![A-Za-z]))?\s*"
    rf"(?P<inner>[-+−])?(?P<body>\d[\d.,'’ \u00a0\u2009\u202f]*|[.,]\d+)(?P<power>[eE][-+]?\d+)?"
    rf"\s*(?P<suffix>%|‰|[{_CURRENCIES}]|°?[A-Za-zµΩ²³°\"″′]+(?:[/·*^][A-Za-z²³\d]+)*\.?)?\s*(?P<close>\))?"
)
_GROUPS = {  # thousands separators → what the digits before the decimal sign look like
    "": r"\d*",
    ",": r"\d{1,3}(?:,\d{3})+",
    ".": r"\d{1,3}(?:\.\d{3})+",
    " ": r"\d{1,3}(?: \d{3})+",
    "'": r"\d{1,3}(?:'\d{3})+",
}
_SPACES = str.maketrans({"\u00a0": " ", "\u2009": " ", "\u202f": " ", "’": "'"})


def parsed(cell: str) -> float | None:
    """Return the number in a cell, or None.

    >>> parsed("1.5"), parsed("red"), parsed("nan")
    (1.5, None, None)
    """
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in cell else None


@dataclass(frozen=True)
class NumberFormat:
    """A notation of numbers.

    Attributes:
        decimal: The decimal sign, "." or ",".
        thousands: The thousands separator; "" for none.
        affixed: Whether currencies, percent signs, units, multiples (k, M, B) or parentheses for negative numbers
            surround the digits.
        unit: The unit or currency that the cells have in common, for the data card.

    >>> NumberFormat(thousands=",", affixed=True).parse("$1,234.50")
    1234.5
    >>> NumberFormat(decimal=",").parse("3,14"), NumberFormat(affixed=True).parse("(12)")
    (3.14, -12.0)
    """

    decimal: str = "."
    thousands: str = ""
    affixed: bool = False
    unit: str = ""

    @property
    def is_plain(self) -> bool:
        """Whether numbers are written as in Python."""
        return self == PLAIN

    def parse(self, cell: str) -> float | None:
        """Return the number in a cell, or None."""
        text = cell.translate(_SPACES).strip()
        sign, multiple = 1.0, 1.0
        if self.affixed:
            found = _CELL.fullmatch(text)
            if found is None or (found["open"] is None) != (found["close"] is None):
                return None
            suffix = (found["suffix"] or "").lower()
            known = suffix if suffix in _MULTIPLES else ""
            if known and known != self.unit.lower():
                multiple = _MULTIPLES[known]
            signs = [found["sign"], found["inner"], found["open"]]
            sign = -1.0 if any(s in {"-", "−", "("} for s in signs if s) else 1.0
            text = found["body"].strip() + (found["power"] or "")
        digits = self._plain(text)
        value = None if digits is None else parsed(digits)
        return None if value is None else sign * multiple * value

    def _plain(self, text: str) -> str | None:
        """Return digits with a decimal point and without separators, or None."""
        whole, _, fraction = text.partition(self.decimal)
        bare = whole.removeprefix("-").removeprefix("+")
        if self.thousands and self.thousands in bare:
            if not re.fullmatch(_GROUPS[self.thousands], bare):
                return None
            whole = whole.replace(self.thousands, "")
        if self.decimal == "," and "." in whole + fraction:
            return None
        return f"{whole}.{fraction}" if fraction else whole

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for a JSON file; only what differs from the usual notation."""
        return {
            name: value
            for name, value in vars(self).items()
            if value != getattr(PLAIN, name)
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> NumberFormat:
        """Return the notation of ``to_dict``."""
        return cls(**plain)


PLAIN = NumberFormat()


def find_format(cells: Sequence[str], comma: bool = False) -> NumberFormat | None:
    """Return the simplest notation that reads at least 95 % of the cells as numbers; None if there is none.

    Args:
        cells: Distinct cells; texts for missing numbers are left out of account.
        comma: Whether a single comma before three digits is a decimal sign, as in files separated by semicolons.

    >>> find_format(["1,234", "950", "12,345,678"])
    NumberFormat(decimal='.', thousands=',', affixed=False, unit='')
    >>> find_format(["12 %", "3.5 %", "n/a"])
    NumberFormat(decimal='.', thousands='', affixed=True, unit='%')
    >>> find_format(["red", "12"]) is None
    True
    """
    present = [cell for cell in cells if cell.lower() not in MISSING_NUMBERS]
    if not present:
        return None
    unit = _unit(present)
    for affixed in (False, True) if unit is not None else (False,):
        best: tuple[float, NumberFormat] | None = None
        for notation in _notations(affixed, unit or "", comma):
            share = sum(notation.parse(cell) is not None for cell in present) / len(
                present
            )
            if best is None or share > best[0]:
                best = (share, notation)
        if best is not None and best[0] >= _SHARE:
            return best[1]
    return None


def _notations(affixed: bool, unit: str, comma: bool) -> list[NumberFormat]:
    """Return notations, the likelier first."""
    marks = affixed, unit if affixed else ""
    american = [
        NumberFormat(".", thousands, *marks) for thousands in ("", ",", " ", "'")
    ]
    european = [NumberFormat(",", thousands, *marks) for thousands in ("", ".", " ")]
    if comma:
        return [american[0], *european, *american[1:]]
    return [*american, *european]


def _unit(cells: Sequence[str]) -> str | None:
    """Return the unit, currency or percent sign of the cells ("" for none); None if they have several."""
    found: Counter[str] = Counter()
    for cell in cells:
        match = _CELL.fullmatch(cell.translate(_SPACES).strip())
        if match is not None:
            found[(match["suffix"] or match["prefix"] or "").strip()] += 1
    if not found:
        return None
    units = {unit for unit in found if unit}
    if units and all(unit.lower() in _MULTIPLES for unit in units) and len(units) > 1:
        return ""
    if len(units) > 1:
        return None
    return units.pop() if units else ""
