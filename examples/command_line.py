"""The command line on a table of your own: train, evaluate, predict (the same commands work in a shell)."""

import csv
import os
from pathlib import Path
from tempfile import TemporaryDirectory

from deltarule import data
from deltarule.cli.main import main

iris = data.load("iris")
here = Path.cwd()
with TemporaryDirectory() as folder:
    os.chdir(folder)
    with Path("flowers.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow([*iris.feature_names, "species"])
        writer.writerows(
            [*values, iris.class_names[label]]
            for values, label in zip(iris.inputs, iris.targets, strict=True)
        )
    main(["train", "flowers.csv", "--target", "species", "--epochs", "30"])
    main(["evaluate", "flowers.dr", "flowers.csv"])
    main(["predict", "flowers.dr", "flowers.csv", "--output", "said.csv"])
    os.chdir(here)
