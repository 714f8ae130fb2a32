"""Whether a CSV's first line holds names, and whether its target holds classes: rules, warnings, ways out."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from deltarule import data
from deltarule.data.tabular.header import find_header
from deltarule.data.tabular.sources import open_table
from deltarule.data.tabular.tasks import choose_task
from deltarule.errors import DataWarning
from support.oracles import pd


def _file(folder: Path, text: str) -> Path:
    path = folder / "t.csv"
    path.write_text(text, encoding="utf-8")
    return path


def _rows(*columns: object, n: int = 30) -> str:
    random = np.random.default_rng(0)
    made = [
        [f"{v:.3f}" for v in random.normal(size=n) * 100]
        if column == "number"
        else [str(column)[i % len(str(column))] for i in range(n)]
        if column == "abc"
        else [str(column).format(i) for i in range(n)]
        for column in columns
    ]
    return "".join(",".join(cells) + "\n" for cells in zip(*made, strict=True))


NAMES = [
    ("1990,2000,2010", ("number", "number", "number")),  # years
    ("country,1990,2000,2010", ("country {}", "number", "number", "number")),
    ("0,1,2,3", ("number",) * 4),  # pandas writes this of a table without names
    ("0,1", ("name {}", "{}5000")),
    ("age,57", ("number", "number")),  # a text above numbers
    (
        "0.25,0.5,0.75",
        ("1{}5", "2{}7", "1{}9"),
    ),  # quantiles, and none of their columns holds such a value
    ("name,2019", ("name {}", "number")),
    ("100,200,300,400", ("number",) * 4),
    ("2010,2000,1990", ("0.{}", "1.{}", "2.{}")),  # the newest year first
    ("country,2000,2020,2010", ("country {}", "number", "number", "number")),
    ("0,1", ("number", "number")),
    (
        "3,1,2",
        ("number", "number", "number"),
    ),  # in no order, but never written so below
    ("5,17,9", ("0.{}", "0.{}", "0.{}")),
    ("a,b,c", ("number",) * 3),
    ("a,b,c", ("abc",) * 3),
]
NO_NAMES = [
    ("5.1,3.5,1.4,0.2,setosa", ("5.{}", "3.{}", "1.{}", "0.{}", "setosa")),
    ("6,148,72,33.6,1", ("{}", "1{}", "{}", "3{}.5", "1")),
    (
        "0,0,12,255,0",
        ("{}", "{}", "1{}", "2{}", "0"),
    ),  # pixels: a name would come twice
    ("1,7,a", ("{}", "{}", "a")),  # a text that comes again
    ("-1.5,0.25,3", ("number", "number", "{}")),
    ("3,1,2", ("{}", "{}", "{}")),
    ("31,2,30", ("3{}", "{}", "{}")),
    ("1.0,0.0", ("number", "number")),
    ("0,3,1.5", ("number", "number", "number")),
    ("900.5,17.25,9.5", ("0.{}", "0.{}", "0.{}")),
    ("12,15", ("{}", "{}")),  # both are values of their columns
]


@pytest.mark.parametrize(("first", "columns"), NAMES)
def test_names_are_kept(tmp_path: Path, first: str, columns: tuple[str, ...]) -> None:
    path = _file(tmp_path, first + "\n" + _rows(*columns))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        table = open_table(path)
    theirs = pd.read_csv(path)
    assert table.n_rows == len(theirs) == 30
    assert list(table.names) == list(theirs.columns)


@pytest.mark.parametrize(("first", "columns"), NO_NAMES)
def test_data_are_no_names(
    tmp_path: Path, first: str, columns: tuple[str, ...]
) -> None:
    path = _file(tmp_path, first + "\n" + _rows(*columns))
    with pytest.warns(DataWarning, match="is read as data; header=True says otherwise"):
        table = data.read_table(
            path, task="regression" if first[-1].isdigit() else None
        )
    assert table.n_samples == 31 and table.schema is not None
    assert [*table.schema.names, table.schema.target] == [
        f"column {i + 1}" for i in range(len(first.split(",")))
    ]


def test_a_doubt_is_told_and_the_option_decides(tmp_path: Path) -> None:
    path = _file(tmp_path, "1990,2000,2010\n" + _rows("number", "number", "number"))
    with pytest.warns(
        DataWarning,
        match=r"the first line \(1990, 2000, 2010\) .* as names of columns; header=False",
    ):
        assert data.read_table(path).feature_names == ("1990", "2000")
    assert data.read_table(path, header=True).n_samples == 30  # and no warning
    assert data.read_table(path, header=False).n_samples == 31
    with pytest.warns(DataWarning, match="names of columns"):
        assert next(data.read_chunks(path)).feature_names == ("1990", "2000")


def test_certain_answers_are_not_told() -> None:
    assert find_header(["a", "b"], []) == (True, True, "holds no number")
    assert find_header(["a", "1"], [["2", "3"]]).certain
    assert find_header(["1", "1"], [["2", "3"]]) == (False, True, "holds a cell twice")


def test_a_file_without_names_is_read_again_by_its_schema(tmp_path: Path) -> None:
    with pytest.warns(DataWarning, match="as data"):
        table = data.read_table(_file(tmp_path, "5.1,3.5,a\n4.9,3.0,b\n4.7,3.2,a\n"))
    assert table.schema is not None
    np.testing.assert_allclose(
        data.read_inputs(_file(tmp_path, "5.0,3.1,b\n"), table.schema), [[5.0, 3.1]]
    )
    inputs, cells = data.read_examples(
        _file(tmp_path, "5.0,3.1,b\n5,3,a\n"), table.schema
    )
    assert inputs.shape == (2, 2) and cells == ["b", "a"]


def test_a_single_row_below_numeric_names_is_read_by_its_schema(tmp_path: Path) -> None:
    table = data.read_table(
        _file(tmp_path, "1990,2000,2010\n" + _rows("number", "number", "number")),
        header=True,
    )
    assert table.schema is not None
    again = _file(tmp_path, "2010,2000,1990\n3,2,1\n")
    np.testing.assert_allclose(data.read_inputs(again, table.schema), [[1, 2]])


@pytest.mark.parametrize(
    ("values", "n_rows", "task"),
    [
        (range(2), 4, "classification"),
        ([-1, 1], 3, "classification"),
        ([7, 60_000], 2, "classification"),
        (range(3), 9, "classification"),
        (range(3), 8, "regression"),
        (range(1, 6), 1000, "classification"),
        (range(10), 1797, "classification"),
        (range(0, 40, 2), 200, "classification"),
        (range(0, 40, 2), 199, "regression"),
        (range(60_000, 76_000, 1000), 16, "regression"),
        (range(60_000, 76_000, 1000), 10_000, "regression"),
        ([-5000, 0, 5000], 10_000, "regression"),
        (range(21), 10_000, "regression"),
        ([1990, 2000, 2010], 300, "regression"),
    ],
)
def test_whole_numbers_are_classes_if_they_are_few_small_and_frequent(
    values: range, n_rows: int, task: str
) -> None:
    assert choose_task({float(v) for v in values}, n_rows, whole=True).task == task


def test_fractions_are_numbers_however_few() -> None:
    assert choose_task({0.5, 1.0}, 1000, whole=False) == ("regression", "")


@pytest.mark.parametrize(
    "read",
    [data.read_table, lambda *args, **given: next(data.read_chunks(*args, **given))],
)
def test_the_choice_is_told_and_the_option_decides(
    tmp_path: Path, read: object
) -> None:
    text = "x,y\n" + "".join(f"{i},{60_000 + 700 * i}\n" for i in range(16))
    table = read(_file(tmp_path, text))  # type: ignore[operator]
    assert table.task == "regression"
    assert (
        table.task_note
        == '16 whole numbers in 16 rows read as numbers; task="classification" makes them classes'
    )
    chosen = read(_file(tmp_path, text), task="classification")  # type: ignore[operator]
    assert chosen.n_classes == 16 and chosen.task_note == ""
    stars = read(
        _file(tmp_path, "x,y\n" + "".join(f"{i},{1 + i % 5}\n" for i in range(60)))
    )  # type: ignore[operator]
    assert stars.class_names == tuple("12345")
    assert (
        stars.task_note
        == '5 whole numbers read as classes; task="regression" predicts a number'
    )
