"""Formatting of numbers, durations, sizes and rates: 608 · 0.94 M · 1.2 s · 97.25 % · 3·10⁻¹⁰."""

from __future__ import annotations

import math

MINUS = "−"
_SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
_MAX_INTEGER_DIGITS = 6  # before scientific notation is used
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def _special(value: float) -> str | None:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    return None


def count(value: int) -> str:
    """Return an integer with thousands separators.

    >>> count(1797), count(-61706)
    ('1,797', '−61,706')
    """
    return f"{value:,}".replace("-", MINUS)


def counted(value: int, noun: str, plural: str = "") -> str:
    """Return a number and a noun in the singular or plural (-s, after s and x -es).

    >>> counted(1, "epoch"), counted(1797, "row"), counted(0, "class"), counted(2, "index", "indices")
    ('1 epoch', '1,797 rows', '0 classes', '2 indices')
    """
    return f"{count(value)} {named(value, noun, plural)}"


def named(value: int, noun: str, plural: str = "") -> str:
    """Return a noun in the singular or plural, as ``counted`` without the number.

    >>> named(1, "class"), named(2, "class")
    ('class', 'classes')
    """
    if value == 1:
        return noun
    return plural or noun + ("es" if noun.endswith(("s", "x")) else "s")


def compact(value: float) -> str:
    """Return a number with three digits in units of M, G or T from 0.1 M on, smaller ones in full.

    >>> compact(608), compact(94_080), compact(940_800), compact(12_345_678), compact(2.5e8)
    ('608', '94,080', '0.94 M', '12.3 M', '0.25 G')
    """
    for exponent, prefix in ((12, "T"), (9, "G"), (6, "M")):
        scaled = value / 10**exponent
        if abs(scaled) >= 0.1 and math.isfinite(scaled):
            digits = 2 if abs(scaled) < 10 else 1 if abs(scaled) < 100 else 0
            return f"{scaled:,.{digits}f} {prefix}".replace("-", MINUS)
    return _special(value) or count(round(value))


def number(value: float, significant: int = 4) -> str:
    """Return a number with the given number of significant digits, in scientific notation if very small or large.

    >>> number(0.034512), number(-2.5), number(3.04e-10, 1), number(0.0), number(2456789.0)
    ('0.03451', '−2.5', '3·10⁻¹⁰', '0', '2.457·10⁶')
    """
    special = _special(value)
    if special is not None:
        return special
    if value == 0:
        return "0"
    exponent = int(f"{value:.{significant - 1}e}".split("e")[1])
    if -4 <= exponent < _MAX_INTEGER_DIGITS:
        digits = f"{value:.{max(significant - 1 - exponent, 0)}f}"
        short = digits.rstrip("0").rstrip(".") if "." in digits else digits
        return short.replace("-", MINUS)
    return scientific(value, significant)


def scientific(value: float, significant: int = 1) -> str:
    """Return a number in scientific notation.

    >>> scientific(3.2e-10), scientific(0.0), scientific(0.0125, 3)
    ('3·10⁻¹⁰', '0', '1.25·10⁻²')
    """
    special = _special(value)
    if special is not None:
        return special
    if value == 0:
        return "0"
    mantissa, power = f"{value:.{significant - 1}e}".split("e")
    head = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    return f"{head}·10{str(int(power)).translate(_SUPERSCRIPTS)}".replace("-", MINUS)


def percent(share: float, digits: int = 2) -> str:
    """Return a fraction as a percentage.

    >>> percent(0.9725), percent(1.0, 0)
    ('97.25 %', '100 %')
    """
    return _special(share) or f"{100 * share:.{digits}f} %".replace("-", MINUS)


def seconds(duration: float) -> str:
    """Return a duration in a suitable unit.

    >>> seconds(0.0031), seconds(1.24), seconds(75), seconds(4000), seconds(2e-7), seconds(90061)
    ('3.1 ms', '1.2 s', '1 min 15 s', '1 h 07 min', '0.2 µs', '1 d 1 h')
    """
    special = _special(duration)
    if special is not None:
        return special
    if duration < 0:
        return MINUS + seconds(-duration)
    if duration == 0:
        return "0 s"
    for unit, factor in (("µs", 1e6), ("ms", 1e3)):
        if duration * factor < 999.5:
            scaled = duration * factor
            return f"{scaled:.{1 if scaled < 9.95 else 0}f} {unit}"
    if duration < 59.5:
        return f"{duration:.{1 if duration < 9.95 else 0}f} s"
    whole = round(duration)
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE:02d} s"
    minutes = round(duration / _MINUTE)
    if minutes * _MINUTE < _DAY:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    hours = round(duration / _HOUR)
    return f"{hours // 24} d {hours % 24} h"


def memory(n_bytes: int) -> str:
    """Return an amount of memory in decimal units.

    >>> memory(512), memory(45_397), memory(1_400_000), memory(2_000_000_000)
    ('512 B', '45.4 kB', '1.4 MB', '2.0 GB')
    """
    for exponent, prefix in ((12, "TB"), (9, "GB"), (6, "MB"), (3, "kB")):
        if n_bytes >= 10**exponent:
            return f"{n_bytes / 10**exponent:.1f} {prefix}"
    return f"{n_bytes} B"


def rate(per_second: float, unit: str = "") -> str:
    """Return a rate with at most three significant digits.

    >>> rate(12345.6, "samples"), rate(3.25)
    ('12,300 samples/s', '3.25 /s')
    """
    special = _special(per_second)
    if special is not None:
        return f"{special} {unit}/s"
    digits = 3 - 1 - math.floor(math.log10(abs(per_second))) if per_second else 0
    rounded = round(per_second, digits)
    text = f"{rounded:,.{max(digits, 0)}f}"
    short = text.rstrip("0").rstrip(".") if "." in text else text
    return f"{short.replace('-', MINUS)} {unit}/s"


def two_decimals(value: float) -> str:
    """Return a number with at most two decimals.

    >>> two_decimals(3.0), two_decimals(2.5), two_decimals(1 / 3)
    ('3', '2.5', '0.33')
    """
    return f"{value:.2f}".rstrip("0").rstrip(".")
