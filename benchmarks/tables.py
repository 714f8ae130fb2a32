"""Reading a table: ``data.read_table`` beside DuckDB's and pandas' own readers.

``python benchmarks/tables.py [--rows N]`` prints the seconds of the processor (all threads) for a CSV file of eight
columns of numbers, one of categories and a binary target, and for the same table as Parquet; the readers take turns,
and the fastest of five rounds counts. DuckDB and pandas return columns, ``read_table`` encoded features and labels.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from deltarule import data

_ROUNDS = 5


def _write(folder: Path, rows: int) -> tuple[Path, Path]:
    numbers = ", ".join(f"random() as x{i}" for i in range(8))
    query = (
        f"select {numbers}, 'k' || cast(random() * 5 as int) as colour, "
        f"cast(random() > 0.5 as int) as y from range({rows})"
    )
    csv, parquet = folder / "t.csv", folder / "t.parquet"
    connection = duckdb.connect()
    connection.execute("select setseed(0.5)")
    connection.execute(f"create table t as {query}")
    connection.execute(f"copy t to '{csv}' (header)")
    connection.execute(f"copy t to '{parquet}' (format parquet)")
    return csv, parquet


def _seconds(read: Callable[[], Any]) -> float:
    start = time.process_time()
    read()
    return time.process_time() - start


def _readers(file: Path) -> dict[str, Callable[[], Any]]:
    is_csv = file.suffix == ".csv"
    return {
        "duckdb": lambda: duckdb.connect().execute(f"from '{file}'").fetchnumpy(),
        "pandas": lambda: pd.read_csv(file) if is_csv else pd.read_parquet(file),
        "read_table": lambda: data.read_table(file),
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as folder:
        for file in _write(Path(folder), rows):
            readers = _readers(file)
            best = dict.fromkeys(readers, float("inf"))
            for _ in range(_ROUNDS):
                for name, read in readers.items():
                    best[name] = min(best[name], _seconds(read))
            shown = ", ".join(f"{name} {value:.2f} s" for name, value in best.items())
            share = best["read_table"] / best["duckdb"]
            print(f"{file.suffix[1:]}, {rows:,} rows: {shown}; {share:.1f} × duckdb")


if __name__ == "__main__":
    main()
