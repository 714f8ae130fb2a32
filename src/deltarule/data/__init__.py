"""Data: bundled sets, tables from files, splits, folds, batches, encodings, checks."""

from deltarule.data.arrays import check_arrays, check_labels
from deltarule.data.batches import batches
from deltarule.data.dataset import BUNDLED, Dataset, load
from deltarule.data.encoding import LabelEncoder, StandardScaler, balanced_class_weights, from_one_hot, one_hot
from deltarule.data.split import GroupKFold, KFold, Split, StratifiedKFold, split
from deltarule.data.tables import read_columns, read_table

__all__ = [
    "BUNDLED", "Dataset", "GroupKFold", "KFold", "LabelEncoder", "Split", "StandardScaler", "StratifiedKFold",
    "balanced_class_weights", "batches", "check_arrays", "check_labels", "from_one_hot", "load", "one_hot",
    "read_columns", "read_table", "split",
]  # fmt: skip
