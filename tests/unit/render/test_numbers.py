"""Numbers for people, against arithmetic."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltarule.render import numbers

POWER = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")


def read(text: str) -> float:
    """Read a written number back."""
    plain = text.replace("−", "-").replace(",", "")
    found = re.fullmatch(r"(-?[\d.]+)(?:·10([⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+))?", plain)
    assert found, text
    return float(found[1]) * 10.0 ** int((found[2] or "⁰").translate(POWER))


@given(
    st.floats(-1e12, 1e12, allow_subnormal=False).filter(
        lambda v: v == 0 or abs(v) > 1e-12
    ),
    st.integers(1, 8),
)
def test_number_keeps_its_significant_digits(value, significant):
    written = read(numbers.number(value, significant))
    assert math.isclose(
        written, value, rel_tol=0.5 * 10.0 ** (1 - significant) * (1 + 1e-9), abs_tol=0
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (math.nan, "NaN"),
        (math.inf, "∞"),
        (-math.inf, "−∞"),
        (0.0, "0"),
        (-0.0, "0"),
        (1.0, "1"),
        (99999.6, "100000"),
        (0.00009999, "9.999·10⁻⁵"),
        (-1e-9, "−1·10⁻⁹"),
        (0.99996, "1"),
    ],
)
def test_number_at_its_edges(value, text):
    assert numbers.number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (math.inf, "∞"),
        (math.nan, "NaN"),
        (0.003, "3·10⁻³"),
        (1.0, "1·10⁰"),
        (-4.6e12, "−5·10¹²"),
    ],
)
def test_a_number_as_a_power_of_ten(value, text):
    assert numbers.scientific(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (608, "608"),
        (99_999, "99,999"),
        (100_000, "0.10 M"),
        (940_800, "0.94 M"),
        (61_706_000, "61.7 M"),
        (100_000_000, "0.10 G"),
        (1.5e12, "1.50 T"),
        (-2_000_000, "−2.00 M"),
        (math.inf, "∞"),
    ],
)
def test_compact(value, text):
    assert numbers.compact(value) == text


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (0, "0 s"),
        (1e-6, "1.0 µs"),
        (0.00999, "10 ms"),
        (0.9996, "1.0 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (3599.7, "1 h 00 min"),
        (86399, "1 d 0 h"),
        (-2, "−2.0 s"),
        (math.nan, "NaN"),
    ],
)
def test_seconds_never_overflow_their_unit(duration, text):
    assert numbers.seconds(duration) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 /s"),
        (0.01234, "0.0123 /s"),
        (999.6, "1,000 /s"),
        (1e6, "1,000,000 /s"),
        (math.inf, "∞ /s"),
    ],
)
def test_rate(value, text):
    assert re.sub(r"\s+", " ", numbers.rate(value)) == text


def test_percent_and_memory():
    assert (
        numbers.percent(0.5, 1),
        numbers.percent(-0.01),
        numbers.percent(math.nan),
    ) == ("50.0 %", "−1.00 %", "NaN")
    assert (numbers.memory(999), numbers.memory(1000), numbers.memory(3 * 10**12)) == (
        "999 B",
        "1.0 kB",
        "3.0 TB",
    )
