"""Tables as people have them: separators, encodings, compression, dates, currencies, missing cells, other formats."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import sqlite3
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pyarrow
import pyarrow.feather
import pytest

from deltarule import data
from deltarule.data.columns.column_types import learn_column
from deltarule.data.columns.dates import find_date_format
from deltarule.data.columns.encodings import Column
from deltarule.data.columns.number_format import find_format
from deltarule.data.columns.table import Table
from deltarule.data.tabular.dialect import find_dialect
from deltarule.data.tabular.sources import open_table, query_table
from deltarule.errors import ArgumentError, DataError, DataWarning
from support.oracles import pd, pl

ROWS = "size,colour,y\n1.5,red,0\n2.5,blue,1\n3.5,red,0\n"


def _file(folder: Path, content: str | bytes, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def _columns(source: Any) -> dict[str, list[Any]]:
    table = open_table(source)
    return {
        name: [None if c is None else str(c) for c in table.array(table.text(name))]
        for name in table.names
    }


# ---------------------------------------------------------------- text files

DIALECTS = {
    "comma": "a,b\n1,x\n2,y\n",
    "semicolon": "a;b\n1;x\n2;y\n",
    "tab": "a\tb\n1\tx\n2\ty\n",
    "pipe": "a|b\n1|x\n2|y\n",
    "blanks": "a b\n1   x\n2 y\n",
    "tabs and blanks": "a \t b\n1 \t x\n2 y\n",
    "sep line": "sep=;\na;b\n1;x\n2;y\n",
    "comments above": "# made by hand\n# on paper\na,b\n1,x\n2,y\n",
    "comments inside": "a,b\n1,x\n# half time\n2,y\n",
    "percent comments": "% made by hand\na,b\n1,x\n2,y\n",
    "a header behind #": "#a,b\n1,x\n2,y\n",
    "title above": "Sales report\n\na,b\n1,x\n2,y\n",
    "blank lines": "\n\na,b\n\n1,x\n  \n,\n2,y\n\n",
    "carriage returns": "a,b\r\n1,x\r\n2,y\r\n",
    "blanks around": " a , b \n 1 , x \n 2 , y \n",
    "blanks before quotes": 'a, b\n1, "x"\n2, "y"\n',
    "double quotes": '"a","b"\n"1","x"\n"2","y"\n',
    "single quotes": "'a','b'\n'1','x'\n'2','y'\n",
    "separators at the ends": "a,b,\n1,x,\n2,y,\n",
    "separators at the ends of rows": "a,b\n1,x,\n2,y,\n",
    "no line break at the end": "a,b\n1,x\n2,y",
    "byte-order mark": "\ufeffa,b\n1,x\n2,y\n",
}


@pytest.mark.parametrize("text", DIALECTS.values(), ids=DIALECTS)
def test_dialects(tmp_path: Path, text: str) -> None:
    found = _columns(_file(tmp_path, text))
    kept = {name: cells for name, cells in found.items() if any(cells)}
    assert kept == {"a": ["1", "2"], "b": ["x", "y"]}


@pytest.mark.parametrize(
    ("text", "name", "cells"),
    [
        ('a,b\n"x, y",1\n"say ""hi""",2\n', "a", ["x, y", 'say "hi"']),
        ('a,b\n"x \\"q\\" y",1\nz,2\n', "a", ['x "q" y', "z"]),
        (
            'a,b\n"two\nlines",1\n"three\n\nlines",2\n',
            "a",
            ["two\nlines", "three\n\nlines"],
        ),
        ("a;b\n1,5;x\n2,25;y\n", "a", ["1,5", "2,25"]),
        ("a,b\n1\n2,y\n", "b", [None, "y"]),
        ("url;n\nhttp://x?a=1,2;1\nhttp://y?b=3;2\n", "n", ["1", "2"]),
    ],
)
def test_cells(tmp_path: Path, text: str, name: str, cells: list[str]) -> None:
    assert _columns(_file(tmp_path, text))[name] == cells


def test_row_labels_of_r(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"mpg": [21.0, 22.8, 21.4], "am": [1, 1, 0]},
        index=["Mazda", "Datsun", "Hornet"],
    )
    without_name = "mpg,am\nMazda,21,1\nDatsun,22.8,1\nHornet,21.4,0\n"
    for text in (
        frame.to_csv(),
        without_name,
        '"","mpg","am"\n"1",21,1\n"2",22.8,1\n"3",21.4,0\n',
    ):
        path = _file(tmp_path, text)
        assert list(_columns(path))[1:] == ["mpg", "am"]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DataWarning)
            read = data.read_table(path, ignore=["row labels"])
        np.testing.assert_allclose(read.inputs[:, 0], [21, 22.8, 21.4], rtol=1e-6)


def test_rows_of_shuffled_frames_keep_no_labels(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": np.arange(60.0), "y": np.arange(60) % 2}).sample(
        50, random_state=0
    )
    with pytest.warns(DataWarning, match="'row labels' numbers the rows"):
        read = data.read_table(_file(tmp_path, frame.to_csv()))
    assert read.feature_names == ("x",)


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1", "cp1252"]
)
def test_encodings(tmp_path: Path, encoding: str) -> None:
    path = _file(tmp_path, "né,y\ncafé,1\nthé,2\n".encode(encoding))
    if encoding in {"latin-1", "cp1252"}:
        with pytest.warns(DataWarning, match="read as Windows-1252"):
            assert _columns(path)["né"] == ["café", "thé"]
    else:
        assert _columns(path)["né"] == ["café", "thé"]


def test_a_named_encoding_decides(tmp_path: Path) -> None:
    path = _file(tmp_path, "x,y\nжар,1\nпар,0\nжар,1\n".encode("koi8-r"))
    read = data.read_table(path, encoding="koi8-r")
    assert read.feature_names == ("x=жар", "x=пар")
    with pytest.raises(DataError, match="encoding"):
        data.read_table(
            _file(tmp_path, b"x,y\n\xff\xfe\xff,1\n" * 9, "b.csv"), encoding="utf-8"
        )


@pytest.mark.parametrize("ending", ["gz", "bz2", "xz", "zip"])
@pytest.mark.parametrize("named", [True, False])
def test_compressed_files(tmp_path: Path, ending: str, named: bool) -> None:
    content = ROWS.encode()
    path = tmp_path / (f"t.csv.{ending}" if named else "t")
    if ending == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("t.csv", content)
    else:
        packed = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}
        path.write_bytes(packed[ending](content))
    read = data.read_table(path)
    assert read.name == "t" and read.feature_names == (
        "size",
        "colour=blue",
        "colour=red",
    )
    damaged = path.read_bytes()[:-12]
    path.write_bytes(damaged)
    with pytest.raises(DataError):
        data.read_table(path)


def test_zstandard(tmp_path: Path) -> None:
    path = tmp_path / "t.csv.zst"
    query_table("select 1").connection.execute(
        f"copy (select 1.5 as a, 'x' as b union all select 2.5, 'y') to '{path}' (format csv)"
    )
    assert _columns(path) == {"a": ["1.5", "2.5"], "b": ["x", "y"]}


def test_several_files_by_a_pattern(tmp_path: Path) -> None:
    _file(tmp_path, "a,y\n1,u\n2,v\n", "m1.csv")
    _file(tmp_path, "y,a\nu,x\nv,4\n", "m2.csv")
    with pytest.warns(
        DataWarning, match=r"m2\.csv line 2: expected a number in column 'a', got 'x'"
    ):
        read = data.read_table(f"{tmp_path}/m*.csv", "y")
    assert read.inputs[:, 0].tolist() == [1, 2, 2, 4]
    assert read.class_names == ("u", "v")
    _file(tmp_path, "b,y\n1,u\n", "m3.csv")
    with pytest.raises(
        DataError, match=r"m3\.csv: expected the columns of .*m1\.csv: a, y, got b, y"
    ):
        data.read_table(f"{tmp_path}/m*.csv")
    with pytest.raises(DataError, match="exists"):
        data.read_table(f"{tmp_path}/none*.csv")


def test_a_file_whose_name_is_a_pattern(tmp_path: Path) -> None:
    for name in ("a[1].csv", "b*.csv", "what?.csv"):
        assert data.read_table(_file(tmp_path, ROWS, name)).n_samples == 3


def test_numbers_that_turn_into_text_far_down(tmp_path: Path) -> None:
    rows = "".join(f"{i},{i % 2}\n" for i in range(30_000))
    with pytest.warns(
        DataWarning, match="line 30002: expected a number in column 'a', got 'oops'"
    ):
        read = data.read_table(_file(tmp_path, f"a,y\n{rows}oops,1\n"))
    assert read.inputs[-1].tolist() == [14999.5, 1.0]


# ---------------------------------------------------------------- other formats


def _frame() -> Any:
    return pd.DataFrame(
        {
            "size": [1.5, 2.5, None, 4.5],
            "colour": ["red", None, "blue", "red"],
            "day": pd.to_datetime(["2020-01-01", "2020-01-02", "2021-06-01", None]),
            "ok": [True, False, True, True],
            "y": [0, 1, 0, 1],
        }
    )


EXPECTED = (
    "size", "size (missing)", "colour=blue", "colour=red", "colour=(missing)", "day days", "day year", "day month sin",
    "day month cos", "day weekday sin", "day weekday cos", "day (missing)", "ok=true",
)  # fmt: skip


def _sources(folder: Path) -> dict[str, Any]:
    frame = _frame()
    frame.to_csv(folder / "t.csv", index=False)
    frame.to_parquet(folder / "t.parquet", index=False)
    frame.to_json(folder / "t.json", orient="records", date_format="iso")
    frame.to_json(folder / "t.jsonl", orient="records", lines=True, date_format="iso")
    arrow = pyarrow.Table.from_pandas(frame)
    pyarrow.feather.write_feather(arrow, folder / "t.feather")
    paths = {
        e: folder / f"t.{e}" for e in ("csv", "parquet", "json", "jsonl", "feather")
    }
    return {**paths, "pandas": frame, "arrow": arrow}


@pytest.mark.parametrize(
    "kind", ["csv", "parquet", "json", "jsonl", "feather", "pandas", "arrow"]
)
def test_every_format_gives_the_same_features(tmp_path: Path, kind: str) -> None:
    sources = _sources(tmp_path)
    read, expected = (
        data.read_table(sources[kind], "y"),
        data.read_table(sources["csv"], "y"),
    )
    assert tuple(map(str.lower, read.feature_names)) == EXPECTED
    np.testing.assert_allclose(read.inputs, expected.inputs, rtol=1e-6)
    np.testing.assert_array_equal(read.targets, [0, 1, 0, 1])
    assert read.schema is not None
    again = data.TableSchema.from_dict(json.loads(json.dumps(read.schema.to_dict())))
    assert again == read.schema
    np.testing.assert_array_equal(data.read_inputs(sources[kind], again), read.inputs)


def test_polars_and_duckdb(tmp_path: Path) -> None:
    frame = pl.DataFrame({"a": [1.0, 2.0, None], "c": ["x", "y", "x"], "y": [0, 1, 1]})
    read = data.read_table(frame)
    assert read.feature_names == ("a", "a (missing)", "c=x", "c=y")
    relation = query_table("select 1").connection.sql(
        "select 1.0 as a, 'u' as y union all select 2.0, 'v'"
    )
    assert data.read_table(relation).feature_names == ("a",)


def test_sqlite(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    with sqlite3.connect(path) as database:
        database.execute("create table flowers (size real, colour text, y integer)")
        database.executemany(
            "insert into flowers values (?, ?, ?)",
            [(1.5, "red", 0), (None, "blue", 1), (3.5, "red", 0)],
        )
    read = data.read_table(path)
    assert read.feature_names == ("size", "size (missing)", "colour=blue", "colour=red")
    with sqlite3.connect(path) as database:
        database.execute("create table more (a real)")
    with pytest.raises(DataError, match="a database of one table, got flowers, more"):
        data.read_table(path)


def test_excel(tmp_path: Path) -> None:
    path = tmp_path / "t.xlsx"
    book = openpyxl.Workbook()
    for row in (
        ["size", "colour", "y"],
        [1.5, "red", 0],
        [None, "blue", 1],
        [3, "red", 0],
    ):
        book.active.append(row)
    book.save(path)
    read = data.read_table(path)
    assert read.feature_names == ("size", "size (missing)", "colour=blue", "colour=red")
    assert read.inputs[:, 0].tolist() == [1.5, 2.25, 3.0]


def test_sql_over_files(tmp_path: Path) -> None:
    _file(tmp_path, "id,size\n1,1.5\n2,2.5\n3,3.5\n", "a.csv")
    _frame().iloc[:3][["y"]].assign(id=[1, 2, 3]).to_parquet(
        tmp_path / "b.parquet", index=False
    )
    query = f"SELECT size, y FROM '{tmp_path}/a.csv' JOIN '{tmp_path}/b.parquet' USING (id) ORDER BY id;"
    read = data.read_table(sql=query, target="y")
    assert read.inputs[:, 0].tolist() == [1.5, 2.5, 3.5] and read.targets.tolist() == [
        0,
        1,
        0,
    ]
    with pytest.raises(
        DataError, match=r"query: expected a valid SQL query, got .*none"
    ):
        data.read_table(sql="select * from 'none.csv'")
    with pytest.raises(ArgumentError, match="a source or sql="):
        data.read_table("a.csv", sql=query)
    with pytest.raises(ArgumentError, match="a source or sql="):
        data.read_table()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "a picture"),
        (b"\x80\x04\x95" + bytes(50), "a pickle"),
        (b"%PDF-1.4" + bytes(50), "a PDF document"),
        (b"\xd0\xcf\x11\xe0" + bytes(50), r"\.xls"),
        (b'{"a": [1, 2', "JSON records"),
        (b"ARROW1\0\0" + bytes(20), "an Arrow file"),
    ],
    ids=["png", "pickle", "pdf", "xls", "json", "arrow"],
)
def test_other_content_is_refused_by_its_name(
    tmp_path: Path, content: bytes, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        data.read_table(_file(tmp_path, content, "t.dat"))


def test_what_is_no_table_is_refused() -> None:
    with pytest.raises(
        DataError, match=r"a path, a data frame of pandas or Polars.*got list"
    ):
        data.read_table([[1, 2]])


# ---------------------------------------------------------------- types of columns


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1", "2.5", "-3e2"], [1, 2.5, -300]),
        (["1,5", "2,25", "-3,0"], [1.5, 2.25, -3]),
        (["1,234", "950", "12,345,678"], [1234, 950, 12345678]),
        (["1.234,5", "950,25", "12.345.678,0"], [1234.5, 950.25, 12345678]),
        (["1 234,5", "950", "2 000"], [1234.5, 950, 2000]),
        (["1'234.5", "950", "2'000"], [1234.5, 950, 2000]),
        (["$1,234.50", "$3", "-$2.5"], [1234.5, 3, -2.5]),
        (["12 €", "3,50 €", "1.000,00 €"], [12, 3.5, 1000]),
        (["EUR 12", "EUR 3", "EUR 7"], [12, 3, 7]),
        (["12 %", "3.5%", "100 %"], [12, 3.5, 100]),
        (["(12)", "3", "(4.5)"], [-12, 3, -4.5]),
        (["12 kg", "3.5 kg", "100kg"], [12, 3.5, 100]),
        (["5.1 km/h", "3 km/h", "7 km/h"], [5.1, 3, 7]),
        (["1.2M", "340K", "2B"], [1.2e6, 340e3, 2e9]),
        (["−3", "4", "5"], [-3, 4, 5]),
        (["1\u00a0234", "2\u00a0000", "7"], [1234, 2000, 7]),
        ([".5", "5.", "+1"], [0.5, 5, 1]),
    ],
)
def test_notations_of_numbers(cells: list[str], expected: list[float]) -> None:
    table = Table.of({"a": cells})
    column = learn_column(table, "a")
    assert column is not None and column.kind == "number", column
    np.testing.assert_allclose(column.encode(table)[:, 0], expected)


@pytest.mark.parametrize(
    "cells",
    [
        ["red", "blue", "red"],
        ["12 kg", "3 lb", "4 kg"],
        ["A1", "B2", "A1"],
        ["007", "012", "007"],
        ["1-2", "3-4", "1-2"],
        ["10.0.0.1", "10.0.0.2", "10.0.0.1"],
        ["1,2,3", "4,5", "1,2,3"],
        ["M", "K", "M"],
    ],
)
def test_texts_that_are_no_numbers(cells: list[str]) -> None:
    column = learn_column(Table.of({"a": cells}), "a")
    assert column is not None and column.kind == "category"


@pytest.mark.parametrize(
    "marker",
    [
        "",
        "NA",
        "n/a",
        "NaN",
        "null",
        "NULL",
        "None",
        "-",
        "--",
        ".",
        "?",
        "#N/A",
        "unknown",
        "missing",
        "\\N",
    ],
)
def test_markers_of_missing_numbers(tmp_path: Path, marker: str) -> None:
    text = "a,y\n" + "".join(f"{i},{i % 2}\n" for i in range(20)) + f"{marker},1\n"
    read = data.read_table(_file(tmp_path, text))
    assert read.feature_names == ("a", "a (missing)")
    assert read.inputs[-1].tolist() == [9.5, 1.0]


def test_na_is_a_country(tmp_path: Path) -> None:
    read = data.read_table(_file(tmp_path, "land,y\nNA,0\nDE,1\nNA,0\nFR,1\n"))
    assert read.feature_names == ("land=DE", "land=FR", "land=NA")


@pytest.mark.parametrize(
    ("cells", "form"),
    [
        (["2020-01-31", "2021-12-01"], "ISO 8601"),
        (["2020-01-31T10:11:12Z", "2021-12-01T00:00:00Z"], "ISO 8601"),
        (["2020-01-31 10:11", "2021-12-01 00:00"], "ISO 8601"),
        (["31/01/2020", "01/02/2020"], "%d/%m/%Y"),
        (["01/31/2020", "02/01/2020"], "%m/%d/%Y"),
        (["31.01.2020", "01.02.2020"], "%d.%m.%Y"),
        (["2020/01/31", "2020/02/01"], "%Y/%m/%d"),
        (["31 Jan 2020", "1 Feb 2020"], "%d %b %Y"),
        (["January 31, 2020", "February 1, 2020"], "%B %d, %Y"),
        (["1/31/20 10:11 PM", "2/1/20 9:00 AM"], "%m/%d/%y %I:%M %p"),
        (["10:11", "23:59"], "%H:%M"),
        (["10:11:12", "23:59:00"], "%H:%M:%S"),
    ],
)
def test_formats_of_dates(cells: list[str], form: str) -> None:
    assert find_date_format(cells) == (form, False)
    column = learn_column(Table.of({"t": cells}), "t")
    assert column is not None and column.kind == "date"
    assert np.isfinite(column.encode(Table.of({"t": cells}))).all()


@pytest.mark.parametrize(
    "cells", [["red", "blue"], ["1.5", "2.5"], ["A-1", "B-2"], ["x 1", "y 2"], []]
)
def test_what_is_no_date(cells: list[str]) -> None:
    assert find_date_format(cells) is None


def test_dates_become_days_years_and_cycles() -> None:
    days = ["2020-02-29", "2021-12-31", "1969-07-20", "2024-01-01"]
    table = Table.of({"t": days})
    column = learn_column(table, "t")
    assert column is not None
    features = dict(zip(column.feature_names, column.encode(table).T, strict=True))
    moments = pd.to_datetime(pd.Series(days))
    np.testing.assert_allclose(features["t days"], (moments - moments.min()).dt.days)
    np.testing.assert_allclose(features["t year"], moments.dt.year)
    angle = 2 * np.pi * (moments.dt.month.to_numpy() - 1) / 12
    np.testing.assert_allclose(features["t month sin"], np.sin(angle), atol=1e-12)
    angle = 2 * np.pi * np.array([day.weekday() for day in moments]) / 7
    np.testing.assert_allclose(features["t weekday cos"], np.cos(angle), atol=1e-12)
    clock = learn_column(Table.of({"t": ["2020-01-01 06:00", "2020-01-02 18:00"]}), "t")
    assert clock is not None and "t hour sin" in clock.feature_names


def test_an_ambiguous_order_of_day_and_month_is_told(tmp_path: Path) -> None:
    path = _file(tmp_path, "t,y\n01/02/2020,0\n03/04/2021,1\n01/02/2020,0\n")
    with pytest.warns(DataWarning, match="'t' are read as month, day"):
        read = data.read_table(path)
    assert read.inputs[1, 1] == 2021
    other = data.read_table(path, dates={"t": "%d/%m/%Y"})
    assert other.inputs[1, 0] - other.inputs[0, 0] == (
        np.datetime64("2021-04-03") - np.datetime64("2020-02-01")
    ).astype(int)


def test_formats_of_dates_are_checked(tmp_path: Path) -> None:
    path = _file(tmp_path, "t,y\n01.02.2020,0\n03.04.2021,1\n")
    with pytest.raises(ArgumentError, match=r"dates of column 't'.*got '%Q'"):
        data.read_table(path, dates={"t": "%Q"})
    with pytest.raises(DataError, match="column 't': expected dates in one format"):
        data.read_table(path, dates={"t": "%H:%M"})
    with pytest.raises(ArgumentError, match="encoding: expected one that Python knows"):
        data.read_table(path, encoding="klingon")


def test_dates_that_are_missing_or_none_are_told(tmp_path: Path) -> None:
    rows = "".join(f"{i + 1:02d}.02.2020,{i % 2}\n" for i in range(28))
    path = _file(tmp_path, f"t,y\n{rows}")
    schema = data.read_table(path).schema
    assert schema is not None
    new = _file(tmp_path, "t,x\n05.02.2020,1\n,2\n", "new.csv")
    with pytest.warns(DataWarning, match=r"'t': 1 missing cell.*median"):
        encoded = data.read_inputs(new, schema)
    assert encoded[0, 0] == 4 and encoded[1, 0] == 14  # the median of 28 days
    odd = _file(tmp_path, f"t,y\n{rows}yesterday,1\n", "odd.csv")
    with pytest.warns(
        DataWarning, match=r"line 30: expected a date in column 't', got 'yesterday'"
    ):
        assert "t (missing)" in data.read_table(odd).feature_names


def test_tables_of_lists_alone_are_refused(tmp_path: Path) -> None:
    table = pyarrow.table({"a": [[1, 2], [3]]})
    with pytest.raises(DataError, match=r"a column of numbers or text, got .*\[\]"):
        data.read_table(table)


def test_booleans_are_one_feature() -> None:
    for no, yes in (("no", "yes"), ("FALSE", "TRUE"), ("f", "t"), ("N", "Y")):
        table = Table.of({"a": [yes, no, yes]})
        column = learn_column(table, "a")
        assert column is not None and column.feature_names == (f"a={yes}",)
        assert column.encode(table)[:, 0].tolist() == [1, 0, 1]


def test_rare_categories_are_merged() -> None:
    cells = [f"c{i}" for i in range(10) for _ in range(9)] + [
        f"rare {i}" for i in range(30)
    ]
    table = Table.of({"a": cells})
    column = learn_column(table, "a")
    assert (
        column is not None
        and column.feature_names[-1] == "a=(other)"
        and len(column.feature_names) == 11
    )
    encoded = column.encode(table)
    assert (encoded.sum(axis=1) == 1).all() and encoded[:, -1].sum() == 30
    new = Table.of({"a": ["never seen", "c1"]})
    assert (
        column.encode(new)[0, -1] == 1.0
    )  # an unknown category counts as a rare one, without a warning


def test_long_texts_are_hashed() -> None:
    random = np.random.default_rng(0)
    words = np.array(
        [
            "the",
            "food",
            "was",
            "very",
            "good",
            "bad",
            "cold",
            "warm",
            "again",
            "never",
            "always",
            "here",
        ]
    )
    cells = [" ".join(random.choice(words, 8)) for _ in range(40)]
    table = Table.of({"review": cells})
    column = learn_column(table, "review")
    assert column is not None and column.kind == "text"
    encoded = column.encode(table)
    np.testing.assert_allclose(np.linalg.norm(encoded, axis=1), 1)
    assert np.array_equal(encoded, column.encode(Table.of({"review": cells})))


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("id", list(range(40))),
        ("PassengerId", [i + 1 for i in range(40)]),
        ("Unnamed: 0", list(range(40))),
        ("order_id", [1000 + 7 * i for i in range(40)]),
        ("code", [f"X{i}Z" for i in range(40)]),
    ],
)
def test_identifiers_are_left_out(name: str, values: list[Any]) -> None:
    with pytest.warns(DataWarning, match=f"column '{name}'.*like an identifier"):
        assert learn_column(Table.of({name: values}), name) is None


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("size", list(range(40))),
        ("id", [1.5, 2.5] * 20),
        ("width", [i % 3 for i in range(40)]),
    ],
)
def test_numbers_are_no_identifiers(name: str, values: list[Any]) -> None:
    column = learn_column(Table.of({name: values}), name)
    assert column is not None and column.kind == "number"


def test_columns_without_values_are_left_out(tmp_path: Path) -> None:
    with pytest.warns(DataWarning, match="column 'b' has no values"):
        read = data.read_table(_file(tmp_path, "a,b,y\n1,,0\n2,NA,1\n3,,0\n"))
    assert read.feature_names == ("a",)


def test_types_can_be_named(tmp_path: Path) -> None:
    path = _file(tmp_path, "a,b,c,y\n1,x,20200131,0\nu,2,20200201,1\n1,3,20200301,0\n")
    with pytest.warns(DataWarning, match="a number in column 'b', got 'x'"):
        read = data.read_table(
            path,
            categorical=["a"],
            numeric=["b"],
            dates={"c": "%Y%m%d"},
            task="classification",
        )
    assert (
        read.feature_names[:4] == ("a=1", "a=u", "b", "b (missing)")
        and "c year" in read.feature_names
    )
    assert data.read_table(path, text=["a"], ignore=["b", "c"]).inputs.shape == (3, 64)


def test_two_hundred_columns_and_names_that_differ_in_case(tmp_path: Path) -> None:
    names = [f"x{i}" for i in range(200)]
    frame = pd.DataFrame(np.arange(2000.0).reshape(10, 200) % 7, columns=names).assign(
        X0=1.0, y=[0, 1] * 5
    )
    read = data.read_table(_file(tmp_path, frame.to_csv(index=False)))
    assert read.feature_names == (*names, "X0")
    np.testing.assert_array_equal(
        read.inputs, frame.drop(columns="y").to_numpy(np.float32)
    )


def test_encodings_of_columns_survive_json() -> None:
    table = Table.of(
        {
            "n": ["1,5", None, "2,5"],
            "c": ["a", "b", None],
            "t": ["2020-01-01", None, "2020-02-01"],
            "b": ["yes", "no", "yes"],
        }
    )
    for name in table.names:
        column = learn_column(table, name)
        assert column is not None
        again = Column.from_dict(json.loads(json.dumps(column.to_dict())))
        assert again == column
        np.testing.assert_array_equal(again.encode(table), column.encode(table))


def test_detection_by_hand() -> None:
    assert find_dialect("a|b\n1|2\n").separator == "|"
    assert find_format(["12", "13 apples", "pear"]) is None
