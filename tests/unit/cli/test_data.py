"""Data of the command line: sources, splits, columns by name, answers as files."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from deltarule.cli.inputs import data_source, rows
from deltarule.cli.inputs.about import ModelMetadata
from deltarule.cli.inputs.reading import TableOptions
from deltarule.cli.outputs import answers
from deltarule.data import load, write_mapped
from deltarule.errors import ArgumentError, DataError, DataWarning, ShapeError

FEATURES = ("width", "colour=blue", "colour=red")
ABOUT = ModelMetadata(
    "t", "classification", "mlp", (3,), FEATURES, ("no", "yes"), "kind", 0, "f"
)
NUMBER = ModelMetadata("t", "regression", "mlp", (2,), ("a", "b"), (), "price", 0, "f")


def _write(path: Path, *lines: str) -> str:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


# ---------------------------------------------------------------- sources


def test_bundled_names_take_hyphens_and_refuse_a_target() -> None:
    assert data_source.open_data("breast-cancer").name == "breast_cancer"
    with pytest.raises(ArgumentError, match="--target"):
        data_source.open_data("iris", TableOptions(target="species"))


def test_what_is_neither_name_nor_file_lists_the_names() -> None:
    with pytest.raises(
        ArgumentError, match=r"expected one of digits, iris, .*or a file of a table"
    ):
        data_source.open_data("digitz")


def test_pictures_without_channels_get_one(tmp_path: Path) -> None:
    path = tmp_path / "p.npz"
    np.savez(path, X=np.zeros((20, 8, 6)), y=np.arange(20) % 2)
    assert data_source.open_data(str(path)).input_shape == (8, 6, 1)


def test_few_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected at least 10 rows, got 2"):
        data_source.open_data(_write(tmp_path / "t.csv", "a,b", "1,0", "2,1"))


def test_split_is_disjoint_stratified_and_by_seed() -> None:
    data = load("digits")
    first, same, other = (data_source.divide(data, seed) for seed in (3, 3, 4))
    parts = (first.train, first.validation, first.test)
    assert sorted(np.concatenate(parts).tolist()) == list(range(1797))
    assert np.array_equal(first.test, same.test) and not np.array_equal(
        first.test, other.test
    )
    shares = np.bincount(data.targets) / 1797
    assert np.allclose(
        np.bincount(data.targets[first.test]) / len(first.test), shares, atol=0.003
    )


def test_target_of_a_file_is_the_last_column(tmp_path: Path) -> None:
    path = _write(tmp_path / "t.csv", "a,b,kind", *["1,2,x", "2,1,y"] * 5)
    assert data_source.target_name(data_source.open_data(path), None) == "kind"
    assert (
        data_source.target_name(
            data_source.open_data(path, TableOptions(target="a")), "a"
        )
        == "a"
    )
    assert data_source.target_name(load("iris"), None) == ""


def test_fingerprint_sees_values_order_and_type() -> None:
    data = load("iris")
    same = data_source.fingerprint(load("iris"))
    assert data_source.fingerprint(data) == same
    data.inputs[0, 0] += 1
    assert data_source.fingerprint(data) != same


# ---------------------------------------------------------------- files for a model that exists


def test_columns_are_found_by_name_and_categories_encoded(tmp_path: Path) -> None:
    path = _write(
        tmp_path / "t.csv", "colour,extra,width,kind", "red,9,1.5,yes", "blue,9,2,no"
    )
    data = rows.read_examples(path, ABOUT, None)
    assert data.inputs.tolist() == [
        [1.5, 0, 1],
        [2, 1, 0],
    ] and data.targets.tolist() == [1, 0]


def test_answers_are_not_needed_to_predict(tmp_path: Path) -> None:
    path = _write(tmp_path / "t.csv", "width,colour", "1,red")
    assert rows.read_inputs(path, ABOUT).tolist() == [[1, 0, 1]]
    with pytest.raises(DataError, match="expected a column 'kind'"):
        rows.read_examples(path, ABOUT, None)


def test_cells_that_the_model_does_not_need_may_be_missing(tmp_path: Path) -> None:
    path = _write(tmp_path / "t.csv", "id,width,colour,kind", ",1,red,", ",2,blue,")
    assert rows.read_inputs(path, ABOUT).tolist() == [[1, 0, 1], [2, 1, 0]]
    with pytest.raises(DataError, match="values in column 'kind', got none"):
        rows.read_examples(path, ABOUT, None)
    for line, column in ((",1,,yes", "colour"), (",,red,yes", "width")):
        gap = _write(tmp_path / "t.csv", "id,width,colour,kind", line)
        with pytest.warns(DataWarning, match=f"column '{column}': 1 missing cell"):
            rows.read_inputs(gap, ABOUT)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (
            "1e30,red,yes\n1e300,red,yes",
            r"line 3: expected a number that float32 holds, up to 3.4e38, in column 'width', got 1e\+300",
        ),
        ("1,red,maybe", "targets of .*expected one of no, yes, got 'maybe' in row 0"),
    ],
)
def test_cells_that_the_model_does_not_know(
    tmp_path: Path, line: str, told: str
) -> None:
    path = _write(tmp_path / "t.csv", "width,colour,kind", line)
    with pytest.raises(DataError, match=told):
        rows.read_examples(path, ABOUT, None)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("inf,red,yes", "line 2: expected a number in column 'width', got 'inf'"),
        ("wide,red,yes", "line 2: expected a number in column 'width', got 'wide'"),
        (
            "1,green,yes",
            "line 2, column 'colour': expected one of blue, red, got green",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:.*missing cell:deltarule.errors.DataWarning")
def test_cells_that_the_model_does_not_know_are_told(
    tmp_path: Path, line: str, told: str
) -> None:
    path = _write(tmp_path / "t.csv", "width,colour,kind", line)
    with pytest.warns(DataWarning, match=told):
        rows.read_examples(path, ABOUT, None)


def test_missing_column_names_the_file_and_its_columns(tmp_path: Path) -> None:
    path = _write(tmp_path / "t.csv", "colour,kind", "red,yes")
    with pytest.raises(
        DataError, match="expected a column 'width', got the columns colour, kind"
    ):
        rows.read_inputs(path, ABOUT)


def test_numbers_as_targets_and_whole_numbers_as_classes(tmp_path: Path) -> None:
    path = _write(tmp_path / "t.csv", "b,a,price", "2,1,10.5")
    data = rows.read_examples(path, NUMBER, None)
    assert data.inputs.tolist() == [[1, 2]] and data.targets.tolist() == [10.5]
    digits = ModelMetadata(
        "t", "classification", "mlp", (1,), ("a",), ("3", "7"), "price", 0, "f"
    )
    path = _write(tmp_path / "u.csv", "a,price", "1,7.0", "2,3")
    assert rows.read_examples(path, digits, None).targets.tolist() == [1, 0]


def test_arrays_of_another_shape_or_name(tmp_path: Path) -> None:
    path = tmp_path / "t.npz"
    np.savez(path, X=np.zeros((4, 5)))
    with pytest.raises(
        ShapeError, match=r"expected examples of shape \(3,\).*got \(5,\)"
    ):
        rows.read_inputs(str(path), ABOUT)
    with pytest.raises(
        DataError, match=r"arrays inputs and targets \(or X and y\), got X"
    ):
        rows.read_examples(str(path), ABOUT, None)
    np.savez(path, Z=np.zeros(3))
    with pytest.raises(DataError, match=r"an array inputs \(or X\), got Z"):
        rows.read_inputs(str(path), ABOUT)


def test_a_table_for_a_model_of_arrays_is_refused(tmp_path: Path) -> None:
    path = _write(tmp_path / "t.csv", "a", "1")
    nameless = ModelMetadata("t", "regression", "mlp", (1,), (), (), "", 0, "f")
    with pytest.raises(DataError, match=r"expected an \.npz file"):
        rows.read_inputs(path, nameless)


# ---------------------------------------------------------------- answers


def test_csv_of_answers_has_classes_truth_and_probabilities(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    answers.write(
        path,
        np.array([[0.25, 0.75], [0.9, 0.1]]),
        ABOUT,
        np.array([4, 9]),
        np.array([1, 1]),
    )
    with path.open(newline="", encoding="utf-8") as stream:
        found = list(csv.DictReader(stream))
    assert found[0] == {
        "row": "4",
        "prediction": "yes",
        "truth": "yes",
        "p(no)": "0.25",
        "p(yes)": "0.75",
    }
    assert found[1]["prediction"] == "no" and found[1]["truth"] == "yes"


def test_npz_of_answers_has_arrays(tmp_path: Path) -> None:
    path, shares = tmp_path / "a.npz", np.array([[0.25, 0.75]])
    answers.write(path, shares, ABOUT, np.array([4]))
    with np.load(path) as held:
        assert held["predictions"].tolist() == [1] and held["rows"].tolist() == [4]
        assert np.array_equal(held["probabilities"], shares) and held[
            "classes"
        ].tolist() == ["no", "yes"]
        assert "truth" not in held


def test_numbers_keep_their_float32_bits_in_csv(tmp_path: Path) -> None:
    path, said = tmp_path / "a.csv", np.array([1 / 3, 123456.789], np.float32)
    answers.write(path, said, NUMBER, np.arange(2))
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "row,prediction"
    assert np.array_equal(
        np.array([line.split(",")[1] for line in lines[1:]], np.float32), said
    )


def test_places_that_cannot_be_written_are_refused_before_the_work(
    tmp_path: Path,
) -> None:
    with pytest.raises(ArgumentError, match=r"a .csv or .npz file"):
        answers.check_path(tmp_path / "a.txt")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(ArgumentError, match="got a folder"):
        answers.check_path(tmp_path / "folder.csv")
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(ArgumentError, match="a place to write to"):
        answers.check_path(tmp_path / "file" / "a.csv")


def test_folders_are_opened_by_what_lies_in_them(tmp_path: Path) -> None:
    digits = load("digits")
    write_mapped(tmp_path / "digits", digits)
    opened = data_source.open_data(str(tmp_path / "digits"))
    assert opened.input_shape == (8, 8, 1) and opened.class_names == digits.class_names
    assert data_source.target_name(opened, None) == ""
    assert data_source.fingerprint(opened) == data_source.fingerprint(digits)
    with pytest.raises(ArgumentError, match="--target"):
        data_source.open_data(str(tmp_path / "digits"), TableOptions(target="y"))
    with pytest.raises(DataError, match="a folder of pictures for each class"):
        data_source.open_data(str(tmp_path))
    about = ModelMetadata.of(digits, "lenet", "", 0, "f")
    examples = rows.read_examples(str(tmp_path / "digits"), about, None)
    np.testing.assert_array_equal(examples.targets, digits.targets)
