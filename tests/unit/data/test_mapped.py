"""Arrays that stay on disk, and tables in parts: the same numbers as in memory, in a bounded part of it."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from deltarule import data, nn, optim
from deltarule.errors import ArgumentError, DataError, DataWarning
from support.oracles import pd

# ---------------------------------------------------------------- arrays


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", ["<f4", ">i2", "?", "u1"])
def test_arrays_of_npy_and_npz_stay_on_disk(
    order: str, kind: str, tmp_path: Path
) -> None:
    random = np.random.default_rng(3)
    array = np.asarray(random.normal(size=(5, 3)) * 9, order=order).astype(
        kind, order=order
    )
    np.save(tmp_path / "a.npy", array)
    np.savez(
        tmp_path / "a.npz", first=np.arange(7), second=array, none=np.zeros((0, 2))
    )
    for found in (
        data.map_array(tmp_path / "a.npy"),
        data.map_array(tmp_path / "a.npz", "second"),
    ):
        assert (
            isinstance(found, np.memmap)
            and not found.flags.writeable
            and found.dtype == array.dtype
        )
        np.testing.assert_array_equal(found, array)
    assert data.map_array(tmp_path / "a.npz", "none").shape == (0, 2)


def test_arrays_that_cannot_be_mapped(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(9.0))
    content = (tmp_path / "a.npy").read_bytes()
    for cut, message in (
        (len(content) - 1, "expected 72 bytes of elements, got 71"),
        (20, "NumPy has written"),
        (0, "NumPy has written"),
    ):
        (tmp_path / "b.npy").write_bytes(content[:cut])
        with pytest.raises(DataError, match=message):
            data.map_array(tmp_path / "b.npy")
    (tmp_path / "b.npy").write_bytes(b"RIFF" + content)
    with pytest.raises(DataError, match="NumPy has written"):
        data.map_array(tmp_path / "b.npy")
    np.save(tmp_path / "o.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(DataError, match="plain numbers, got objects"):
        data.map_array(tmp_path / "o.npy")
    np.savez_compressed(tmp_path / "c.npz", x=np.arange(3))
    with pytest.raises(DataError, match="got a compressed one"):
        data.map_array(tmp_path / "c.npz", "x")
    with pytest.raises(DataError, match="an array 'y', got x"):
        data.map_array(tmp_path / "c.npz", "y")
    (tmp_path / "d.npz").write_bytes(b"no archive")
    with pytest.raises(DataError, match=r"an \.npz file"):
        data.map_array(tmp_path / "d.npz", "y")
    with pytest.raises(DataError, match="NumPy has written"):
        data.map_array(tmp_path / "nothing.npy")


def test_a_mapped_folder_gives_back_what_was_written(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        "a,colour,kind\n1,red,no\n2,blue,yes\n3,red,no\n", encoding="utf-8"
    )
    table = data.read_table(tmp_path / "t.csv")
    back = data.write_mapped(
        tmp_path / "t", (table.take(np.arange(i, i + 1)) for i in range(3))
    )
    assert back.schema == table.schema and back.class_names == table.class_names == (
        "no",
        "yes",
    )
    assert back.feature_names == table.feature_names and back.task == "classification"
    np.testing.assert_array_equal(back.inputs, table.inputs)
    np.testing.assert_array_equal(back.targets, table.targets)
    np.testing.assert_array_equal(
        np.load(tmp_path / "t" / "inputs.npy"), table.inputs
    )  # plain NumPy reads it
    assert data.read_folder(tmp_path / "t").n_samples == 3


def test_folders_without_a_card_and_archives(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    x, y = random.normal(size=(6, 4)).astype(np.float32), np.array([0, 2, 1, 0, 2, 1])
    np.save(tmp_path / "inputs.npy", x)
    np.save(tmp_path / "targets.npy", y)
    np.savez(tmp_path / "xy.npz", inputs=x, targets=y.astype(np.float32))
    labelled, numbers = (
        data.read_mapped(tmp_path),
        data.read_mapped(tmp_path / "xy.npz"),
    )
    assert (labelled.task, labelled.n_classes, numbers.task) == (
        "classification",
        3,
        "regression",
    )
    np.testing.assert_array_equal(numbers.inputs, x)
    np.save(tmp_path / "targets.npy", y[:5])
    with pytest.raises(
        DataError, match=r"as many targets as inputs, .* \(6, 4\) and targets \(5,\)"
    ):
        data.read_mapped(tmp_path)
    np.save(tmp_path / "targets.npy", y)
    (tmp_path / "about.json").write_text(json.dumps({"name": "x"}))
    with pytest.raises(DataError, match="card of a mapped folder"):
        data.read_mapped(tmp_path)


def test_chunks_must_be_alike(tmp_path: Path) -> None:
    iris = data.load("iris")
    with pytest.raises(DataError, match="at least one example to write"):
        data.write_mapped(tmp_path / "a", [])
    with pytest.raises(
        DataError,
        match=r"chunks alike: inputs float32 \(4,\), .* got inputs float32 \(13,\)",
    ):
        data.write_mapped(tmp_path / "a", [iris, data.load("wine")])
    assert not (tmp_path / "a" / "about.json").exists()
    with pytest.raises(
        DataError, match=r"NumPy has written|as many targets"
    ):  # what was cut off is not taken for whole
        data.read_folder(tmp_path / "a")


# ---------------------------------------------------------------- training on them


def _model(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, 5), nn.ReLU(), nn.Linear(5, 3), seed=1)


def test_training_on_disk_is_training_in_memory(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    rows = 16_000
    x = random.normal(size=(rows, 256)).astype(np.float32)
    y = (x[:, :3].argmax(1)).astype(np.int64)
    stored = data.write_mapped(
        tmp_path,
        data.Dataset("d", "d", "classification", x, y, class_names=("a", "b", "c")),
    )
    options = {
        "loss": "cross_entropy",
        "optimizer": optim.Adam(),
        "epochs": 2,
        "batch_size": 64,
        "verbose": 0,
    }
    kept, mapped = _model(256), _model(256)
    kept.fit(x, y, **options)
    mapped.fit(x[:200], y[:200], **options)  # compile first, then look at memory
    mapped = _model(256)
    tracemalloc.start()
    mapped.fit(stored.inputs, stored.targets, **options)
    _model(256).fit(stored.inputs, stored.targets, validation_split=0.1, **options)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert x.nbytes > 16e6 and peak < x.nbytes / 2
    for (name, one), (_, other) in zip(
        kept.named_parameters(), mapped.named_parameters(), strict=True
    ):
        np.testing.assert_array_equal(one.numpy(), other.numpy(), err_msg=name)


# ---------------------------------------------------------------- tables in parts


def _table(path: Path, rows: int = 57) -> pd.DataFrame:
    random = np.random.default_rng(3)
    frame = pd.DataFrame(
        {
            "size": random.normal(size=rows).round(4),
            "colour": random.choice(["red", "blue", "green"], rows),
            "count": random.integers(0, 1000, rows),
            "kind": random.choice(["no", "yes", "perhaps"], rows),
            "price": random.normal(size=rows).round(3),
            "grade": random.integers(1, 4, rows),
        }
    )
    (frame.to_csv if path.suffix == ".csv" else frame.to_parquet)(path, index=False)
    return frame


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"target": "kind"},
        {"target": "price"},
        {"target": "count"},
        {"target": "count", "task": "classification"},
        {"target": "grade", "task": "regression"},
        {"target": "kind", "categorical": ["grade"], "ignore": ["colour"]},
    ],
)
@pytest.mark.parametrize("rows", [7, 19, 1000])
def test_the_parts_are_the_table(
    ending: str, options: dict, rows: int, tmp_path: Path
) -> None:
    path = tmp_path / f"t.{ending}"
    _table(path)
    whole, parts = (
        data.read_table(path, **options),
        list(data.read_chunks(path, rows=rows, **options)),
    )
    assert max(part.n_samples for part in parts) <= rows and len(parts) == -(
        -57 // rows
    )
    assert all(
        (part.schema, part.class_names, part.task)
        == (whole.schema, whole.class_names, whole.task)
        for part in parts
    )
    np.testing.assert_array_equal(
        np.concatenate([part.inputs for part in parts]), whole.inputs
    )
    np.testing.assert_array_equal(
        np.concatenate([part.targets for part in parts]), whole.targets
    )
    assert {part.targets.dtype for part in parts} == {whole.targets.dtype}


def test_rows_with_missing_cells_and_numbers_of_rows(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(",a,y\n0,1,x\n1,,z\n2,3,x\n3,4,z\n", encoding="utf-8")
    with pytest.warns(DataWarning, match="numbers the rows"):
        parts = list(data.read_chunks(path, rows=2, drop_missing=True))
    assert np.concatenate([part.inputs for part in parts]).tolist() == [[1], [3], [4]]
    with pytest.warns(DataWarning, match="numbers the rows"):
        parts = list(data.read_chunks(path, rows=2))
    assert np.concatenate([part.inputs for part in parts]).tolist() == [
        [1, 0],
        [3, 1],
        [3, 0],
        [4, 0],
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "an empty file"),
        ("a,y\n", "below the header"),
        ("a,y\n1,2\n3,4,5\n", "line 3: expected 2 cells, got 3"),
        ("a,y\n1,2.5\n2,3\n2,x\n", "line 4: expected a number in column 'y', got 'x'"),
        ("y\n1\n2\n", "column with features beside the target"),
        ('a,y\n1,"2\n', "separated cells"),
    ],
)
def test_faults_of_tables_in_parts(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        list(data.read_chunks(path, rows=1))


def test_arguments_of_tables_in_parts(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,y\n1,2\n", encoding="utf-8")
    with pytest.raises(ArgumentError, match="read_chunks rows"):
        data.read_chunks(path, rows=0)
    with pytest.raises(DataError, match="a column 'z'"):
        data.read_chunks(path, target="z")
    np.savez(tmp_path / "a.npz", x=1)
    with pytest.raises(DataError, match="named columns"):
        data.read_chunks(tmp_path / "a.npz")
    (tmp_path / "p.parquet").write_bytes(b"PAR1 is not enough")
    with pytest.raises(DataError, match="a Parquet file"):
        data.read_chunks(tmp_path / "p.parquet")


def test_a_long_table_needs_little_memory(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    path = tmp_path / "long.csv"
    rows, width = 30_000, 20
    frame = pd.DataFrame(
        random.normal(size=(rows, width)).round(3),
        columns=[f"x{i}" for i in range(width)],
    )
    frame.assign(y=np.arange(rows) % 2).to_csv(path, index=False)
    tracemalloc.start()
    stored = data.write_mapped(tmp_path / "long", data.read_chunks(path, rows=200))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (
        stored.inputs.shape == (rows, width)
        and peak < stored.inputs.nbytes * 0.9 < path.stat().st_size
    )
    np.testing.assert_allclose(stored.inputs, frame.to_numpy(), rtol=1e-6)
