"""Data: bundled sets, tables, pictures and arrays from files and disks, splits, folds, batches, encodings, checks."""

from deltarule.data import augment
from deltarule.data.arrays import check_arrays, check_labels
from deltarule.data.batches import DataLoader, batches, weighted_batches
from deltarule.data.cifar import read_cifar
from deltarule.data.dataset import BUNDLED, Dataset, load
from deltarule.data.encoding import (
    LabelEncoder,
    balanced_class_weights,
    from_one_hot,
    multi_hot,
    one_hot,
)
from deltarule.data.folders import read_folder
from deltarule.data.folds import GroupKFold, KFold, StratifiedKFold
from deltarule.data.idx import read_idx, read_mnist
from deltarule.data.image_folder import (
    image_chunks,
    read_image,
    read_image_folder,
    read_images,
)
from deltarule.data.mapped import map_array, read_mapped, write_mapped
from deltarule.data.pickles import read_pickle
from deltarule.data.pretext import Pretext, masked_pretext, next_step_pretext
from deltarule.data.scaling import StandardScaler
from deltarule.data.schema import TableSchema
from deltarule.data.split import Split, split
from deltarule.data.streaming import read_chunks
from deltarule.data.tables import read_columns, read_examples, read_inputs, read_table

__all__ = [
    "BUNDLED",
    "DataLoader",
    "Dataset",
    "GroupKFold",
    "KFold",
    "LabelEncoder",
    "Pretext",
    "Split",
    "StandardScaler",
    "StratifiedKFold",
    "TableSchema",
    "augment",
    "balanced_class_weights",
    "batches",
    "check_arrays",
    "check_labels",
    "from_one_hot",
    "image_chunks",
    "load",
    "map_array",
    "masked_pretext",
    "multi_hot",
    "next_step_pretext",
    "one_hot",
    "read_chunks",
    "read_cifar",
    "read_columns",
    "read_examples",
    "read_folder",
    "read_idx",
    "read_image",
    "read_image_folder",
    "read_images",
    "read_inputs",
    "read_mapped",
    "read_mnist",
    "read_pickle",
    "read_table",
    "split",
    "weighted_batches",
    "write_mapped",
]
