"""Data: bundled sets, tables from files, splits, folds, batches, encodings, checks."""

from deltarule.data import augment
from deltarule.data.arrays import check_arrays, check_labels
from deltarule.data.batches import DataLoader, batches, weighted_batches
from deltarule.data.dataset import BUNDLED, Dataset, load
from deltarule.data.encoding import LabelEncoder, balanced_class_weights, from_one_hot, multi_hot, one_hot
from deltarule.data.pretext import Pretext, masked_pretext, next_step_pretext
from deltarule.data.scaling import StandardScaler
from deltarule.data.schema import TableSchema
from deltarule.data.split import GroupKFold, KFold, Split, StratifiedKFold, split
from deltarule.data.tables import read_columns, read_inputs, read_table

__all__ = [
    "BUNDLED", "DataLoader", "Dataset", "GroupKFold", "KFold", "LabelEncoder", "Pretext", "Split", "StandardScaler",
    "StratifiedKFold", "TableSchema", "augment", "balanced_class_weights", "batches", "check_arrays", "check_labels",
    "from_one_hot", "load", "masked_pretext", "multi_hot", "next_step_pretext", "one_hot", "read_columns",
    "read_inputs", "read_table", "split", "weighted_batches",
]  # fmt: skip
