"""Files as data sets, against pandas; every fault with its line and column."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltarule import data
from deltarule.errors import DataError, DataWarning
from support.oracles import pd


@pytest.fixture
def written(tmp_path):
    def write(text, name="table.csv"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


FLOWERS = "size,colour,petals,kind\n1.5,red,5,rose\n0.5,blue,3,iris\n2.0,red,5,rose\n"


def test_numbers_categories_and_classes(written):
    flowers = data.read_table(written(FLOWERS))
    assert (flowers.task, flowers.class_names, flowers.name) == (
        "classification",
        ("iris", "rose"),
        "table",
    )
    assert flowers.feature_names == ("size", "colour=blue", "colour=red", "petals")
    np.testing.assert_array_equal(
        flowers.inputs, [[1.5, 0, 1, 5], [0.5, 1, 0, 3], [2.0, 0, 1, 5]]
    )
    np.testing.assert_array_equal(flowers.targets, [1, 0, 1])
    assert flowers.inputs.dtype == np.float32


@pytest.mark.notes("DA-07", "DA-09")
def test_dummy_variables_are_those_of_pandas(written):
    path = written(FLOWERS)
    theirs = pd.get_dummies(
        pd.read_csv(path).drop(columns="kind"),
        prefix_sep="=",
        columns=["colour"],
        dtype=float,
    )
    ours = data.read_table(path, "kind")
    np.testing.assert_array_equal(
        ours.inputs, theirs[list(ours.feature_names)].to_numpy()
    )


@pytest.mark.parametrize(
    ("values", "task", "kind", "classes"),
    [
        (["0", "1", "1"], None, "classification", ("0", "1")),
        (["3", "7", "3"], None, "classification", ("3", "7")),
        (["1.0", "2.0", "1.0"], None, "classification", ("1", "2")),
        (["0.5", "1", "2"], None, "regression", ()),
        (["0", "1", "1"], "regression", "regression", ()),
        ([str(i) for i in range(25)], None, "regression", ()),
        (
            [str(i) for i in range(25)],
            "classification",
            "classification",
            tuple(map(str, range(25))),
        ),
        (["yes", "no", "no"], None, "classification", ("no", "yes")),
    ],
)
@pytest.mark.notes("DA-13")
def test_the_target_decides_the_task(written, values, task, kind, classes):
    path = written("x,y\n" + "".join(f"{i},{v}\n" for i, v in enumerate(values)))
    table = data.read_table(path, task=task)
    assert (table.task, table.class_names) == (kind, classes)
    if kind == "regression":
        np.testing.assert_array_equal(table.targets, np.array(values, np.float32))
        assert table.targets.dtype == np.float32
    else:
        assert [classes[i] for i in table.targets] == [
            v.removesuffix(".0") for v in values
        ]


def test_target_by_name_and_ignored_columns(written):
    table = data.read_table(written(FLOWERS), target="petals", ignore=["colour"])
    assert table.feature_names == ("size", "kind=iris", "kind=rose")
    assert table.class_names == ("3", "5")
    coded = data.read_table(written("zip,y\n10,1\n20,0\n10,1\n"), categorical=["zip"])
    assert coded.feature_names == ("zip=10", "zip=20")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_delimiters_quotes_and_blank_lines(written, delimiter):
    lines = [
        ["a", '"b c"', "y"],
        ["1.5", f'"x{delimiter}z"', "1"],
        [],
        ["2.5", '"say ""hi"""', "0"],
    ]
    table = data.read_table(
        written("\ufeff" + "\r\n".join(delimiter.join(line) for line in lines) + "\r\n")
    )
    assert table.feature_names == ("a", 'b c=say "hi"', f"b c=x{delimiter}z")
    np.testing.assert_array_equal(table.inputs[:, 0], [1.5, 2.5])


def test_decimal_commas_where_semicolons_divide(written):
    np.testing.assert_array_equal(
        data.read_table(written("a;y\n1,5;0\n-2,25;1\n")).inputs, [[1.5], [-2.25]]
    )


def test_a_first_line_with_fractions_is_no_header(written):
    with pytest.warns(DataWarning, match="header=True says otherwise"):
        table = data.read_table(written("5.1,3.5,setosa\n7.0,3.2,versicolor\n"))
    assert table.feature_names == ("column 1", "column 2")
    assert table.n_samples == 2
    years = written("2019,2020,name\n1,2,a\n3,4,b\n", "years.csv")
    assert data.read_table(years, header=True).feature_names == ("2019", "2020")


def test_an_unnamed_column_of_row_numbers_is_left_out(written):
    with pytest.warns(DataWarning, match="numbers the rows"):
        table = data.read_table(written(",a,y\n0,5,0\n1,6,1\n"))
    assert table.feature_names == ("a",)


def test_a_column_of_names_is_left_out(written):
    text = "name,x,y\n" + "".join(f"person {i},{i},{i % 2}\n" for i in range(40))
    with pytest.warns(
        DataWarning,
        match=r"'name' has another text in each row.*categorical=\['name'\]",
    ):
        assert data.read_table(written(text)).feature_names == ("x",)
    kept = data.read_table(written(text), categorical=["name"])
    assert kept.inputs.shape == (40, 41)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,y\n1,0\n\n\n1,2,3\n", "line 5.*2 cells, got 3"),
        ("", "empty file"),
        (" \n\n", "empty file"),
        ("a,y\n", "below the header"),
        ("y\n1\n", "beside the target"),
        ("a,y\n,1\n,2\n", "none that can be used"),
        ("a,y\n1,\n2,NA\n", "values in column 'y'"),
        ('a,y\n"1,0\n', "line 2"),
        ("a,y\n1,2.5\n2,1\n3,x\n4,1\n", "line 4.*a number in column 'y', got 'x'"),
    ],
)
@pytest.mark.filterwarnings("ignore::deltarule.errors.DataWarning")
def test_faults_of_a_table_are_found(written, text, message):
    with pytest.raises(DataError, match=message):
        data.read_table(written(text))


@pytest.mark.parametrize(
    ("text", "message", "column"),
    [
        ("a,y\n1,0\nx,1\n3,1\n", "line 3.*a number in column 'a', got 'x'", [1, 2, 3]),
        ("a,y\n1,0\n1e999,1\n3,1\n", "line 3.*'1e999'", [1, 2, 3]),
        ("a,y\n1,0\n1_000,1\n3,1\n", "line 3.*'1_000'", [1, 2, 3]),
        (
            'b,a,y\n"two\nlines",1,0\nx,1,0\nx,oops,0\nx,3,1\n',
            "line 5.*column 'a', got 'oops'; 1 cell of the column read as missing",
            [1, 1, 1, 3],
        ),
    ],
)
def test_a_cell_that_is_no_number_is_missing_with_a_warning(
    written, text, message, column
):
    with pytest.warns(DataWarning, match=message):
        table = data.read_table(written(text))
    names = list(table.feature_names)
    np.testing.assert_array_equal(table.inputs[:, names.index("a")], column)
    np.testing.assert_array_equal(table.inputs[:, names.index("a (missing)")].sum(), 1)


def test_missing_cells_become_the_median_and_a_feature(written):
    text = "a,c,y\n1,u,0\n,v,1\nNA,,1\n5,u,0\n?,v,1\n9,u,0\n"
    table = data.read_table(written(text))
    assert table.feature_names == ("a", "a (missing)", "c=u", "c=v", "c=(missing)")
    np.testing.assert_array_equal(table.inputs[:, 0], [1, 5, 5, 5, 5, 9])
    np.testing.assert_array_equal(table.inputs[:, 1], [0, 1, 1, 0, 1, 0])
    np.testing.assert_array_equal(table.inputs[:, 4], [0, 0, 1, 0, 0, 0])


def test_rows_without_a_target_are_left_out(written):
    with pytest.warns(DataWarning, match="2 rows without a value of the target 'y'"):
        table = data.read_table(written("a,y\n1,0\n2,\n3,1\n4,NA\n5,1\n"))
    np.testing.assert_array_equal(table.inputs[:, 0], [1, 3, 5])


def test_names_that_repeat_or_lack_are_made(written):
    with pytest.warns(DataWarning, match=r"same name; .*a \(2\)"):
        table = data.read_table(written("a,a,y\n1,2,0\n3,4,1\n"))
    assert table.feature_names == ("a", "a (2)")
    table = data.read_table(written("a,,y\n1,2,0\n3,4,1\n"))
    assert table.feature_names == ("a", "column 2")


def test_faults_around_a_table(written, tmp_path):
    path = written(FLOWERS)
    for arguments, message in (
        ({"target": "species"}, "column 'species'.*size, colour, petals, kind"),
        ({"ignore": ["nope"]}, "'nope'"),
        ({"categorical": ["nope"]}, "'nope'"),
        ({"numeric": ["colour"]}, "column 'colour': expected numbers, got 'red'"),
        ({"dates": ["colour"]}, "column 'colour': expected dates"),
        ({"task": "regression"}, "number in column 'kind'"),
    ):
        with pytest.raises(DataError, match=message):
            data.read_table(path, **arguments)
    with pytest.raises(DataError, match="exists"):
        data.read_table(tmp_path / "none.csv")
    with pytest.raises(DataError, match=r"(?s)a folder.*\*\.csv"):
        data.read_table(tmp_path)
    old = tmp_path / "table.xls"
    old.write_bytes(b"\xd0\xcf\x11\xe0" + bytes(100))
    with pytest.raises(DataError, match=r"the old Excel format \.xls"):
        data.read_table(old)


def test_missing_rows_can_be_left_out(written):
    path = written("a,b,y\n1,NA,0\n2,x,1\n3,null,0\n4,y,1\n")
    table = data.read_table(path, drop_missing=True)
    np.testing.assert_array_equal(table.inputs[:, 0], [2, 4])
    with pytest.raises(DataError, match="without missing"):
        data.read_table(written("a,y\n,1\n"), drop_missing=True)


def test_another_file_is_read_by_the_schema_of_the_first(written):
    schema = data.read_table(written(FLOWERS)).schema
    again = data.TableSchema.from_dict(schema.to_dict())
    assert again == schema
    other = written("petals,extra,colour,size\n4,hello,blue,2\n", "new.csv")
    np.testing.assert_array_equal(data.read_inputs(other, again), [[2, 1, 0, 4]])
    with pytest.warns(
        DataWarning,
        match=r"line 3, column 'colour': expected one of blue, red, got green; 1 cell",
    ):
        unknown = data.read_inputs(
            written("petals,colour,size\n4,red,2\n4,green,2\n", "new.csv"), schema
        )
    np.testing.assert_array_equal(unknown, [[2, 0, 1, 4], [2, 0, 0, 4]])
    with pytest.warns(DataWarning, match="'size': 1 missing cell.*median 1.5"):
        filled = data.read_inputs(written("petals,colour,size\n4,red,\n"), schema)
    np.testing.assert_array_equal(filled, [[1.5, 0, 1, 4]])
    with pytest.warns(DataWarning, match="'petals': 1 number far outside"):
        data.read_inputs(written("petals,colour,size\n400,red,1\n"), schema)
    with pytest.raises(DataError, match="a column 'size'"):
        data.read_inputs(written("petals,colour\n4,red\n", "new.csv"), schema)


def test_schemas_of_earlier_releases_are_read():
    plain = {
        "columns": [
            {"name": "size", "categories": []},
            {"name": "colour", "categories": ["blue", "red"]},
        ],
        "target": "y",
    }
    schema = data.TableSchema.from_dict(plain)
    assert schema.feature_names == ("size", "colour=blue", "colour=red")


@given(
    st.lists(
        st.tuples(
            st.floats(-(2.0**99), 2.0**99, width=32),
            st.sampled_from(["p", "q,r", 's"t', "ü"]),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_what_pandas_writes_is_read_back(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    frame = pd.DataFrame(
        {"x": [x for x, _ in rows], "word": [w for _, w in rows], "y": range(len(rows))}
    )
    frame.to_csv(path, index=False)
    table = data.read_table(path, task="regression")
    np.testing.assert_array_equal(table.inputs[:, 0], frame["x"].to_numpy(np.float32))
    names = table.feature_names[1:]
    assert [
        names[i].removeprefix("word=") for i in table.inputs[:, 1:].argmax(axis=1)
    ] == list(frame["word"])
    assert {k: v for k, v in data.read_columns(path).items() if k == "word"}[
        "word"
    ] == list(frame["word"])


def test_parquet_equals_csv(tmp_path):
    frame = pd.DataFrame(
        {"size": [1.5, 0.5], "colour": ["red", "blue"], "kind": ["rose", "iris"]}
    )
    frame.to_parquet(tmp_path / "t.parquet", index=False)
    frame.to_csv(tmp_path / "t.csv", index=False)
    one, other = (
        data.read_table(tmp_path / "t.parquet"),
        data.read_table(tmp_path / "t.csv"),
    )
    np.testing.assert_array_equal(one.inputs, other.inputs)
    np.testing.assert_array_equal(one.targets, other.targets)
    assert one.schema == other.schema
    pd.DataFrame({"a": [1.0, None, 3.0], "y": [0, 1, 1]}).to_parquet(
        tmp_path / "gap.parquet", index=False
    )
    np.testing.assert_array_equal(
        data.read_table(tmp_path / "gap.parquet").inputs, [[1, 0], [2, 1], [3, 0]]
    )
    (tmp_path / "bad.parquet").write_bytes(b"no parquet")
    with pytest.raises(DataError, match="Parquet"):
        data.read_table(tmp_path / "bad.parquet")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 is not enough")
    with pytest.raises(DataError, match="Parquet"):
        data.read_table(tmp_path / "bad.parquet")


def test_npz(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, X=np.arange(6).reshape(3, 2), y=[1, 0, 1])
    table = data.read_table(path)
    assert (table.task, table.inputs.dtype, table.targets.tolist()) == (
        "classification",
        np.float32,
        [1, 0, 1],
    )
    np.savez(
        path, inputs=np.full((2, 4, 4), 255, np.uint8), targets=np.array(["cat", "dog"])
    )
    pictures = data.read_table(path)
    assert (
        pictures.inputs.shape,
        float(pictures.inputs.max()),
        pictures.class_names,
    ) == (
        (2, 4, 4),
        255.0,
        ("cat", "dog"),
    )
    np.savez(
        path,
        X=np.zeros((3, 1)),
        one=np.eye(3),
        col=np.array([[0.5], [1.0], [2.0]]),
        both=np.ones((3, 2)) / 3,
    )
    assert data.read_table(path, "one").targets.tolist() == [0, 1, 2]
    assert data.read_table(path, "col").targets.shape == (3,)
    assert (
        data.read_table(path, "both").targets.shape,
        data.read_table(path, "both").task,
    ) == ((3, 2), "regression")


def test_faults_of_npz(tmp_path):
    path = tmp_path / "a.npz"
    for arrays, message in (
        ({"X": np.zeros((2, 1))}, "targets"),
        ({"y": np.zeros(2)}, "inputs"),
        ({"X": np.zeros((2, 1)), "y": np.zeros(3)}, "2 targets"),
        ({"X": np.array([[np.nan]]), "y": np.zeros(1)}, "NaN in row 0, column 0"),
        ({"X": np.zeros((2, 1)), "y": np.array(["a"])}, "2 targets, got 1"),
        ({"X": np.array([[{}]], object), "y": np.zeros(1)}, "plain arrays"),
    ):
        np.savez(path, **arrays)
        with pytest.raises(DataError, match=message):
            data.read_table(path)
    path.write_bytes(b"PK not really")
    with pytest.raises(
        DataError, match=r"an \.npz file, as numpy\.savez writes it, got other content"
    ):
        data.read_table(path)
    np.savez(path, X=np.zeros((2, 1)), y=np.zeros(2))
    with pytest.raises(DataError, match="named columns"):
        data.read_columns(path)


def test_numbers_that_float32_does_not_hold_are_refused(tmp_path):
    table, arrays = tmp_path / "far.csv", tmp_path / "far.npz"
    table.write_text(
        "a,price\n" + "\n".join(f"{i},{i}.5e300" for i in range(60)) + "\n"
    )
    np.savez(arrays, inputs=np.full((60, 2), 1e300), targets=np.arange(60) / 7)
    for path in (table, arrays):
        with pytest.raises(DataError, match="numbers that float32 holds"):
            data.read_table(path)
