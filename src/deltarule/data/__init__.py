"""Data sets, readers of tables and images, splits, cross-validation folds, batches, encodings, augmentation."""

from deltarule.data import augment
from deltarule.data.arrays import check_arrays, check_labels
from deltarule.data.dataset import BUNDLED, Dataset, load
from deltarule.data.formats.cifar import read_cifar
from deltarule.data.formats.folders import read_folder
from deltarule.data.formats.idx import read_idx, read_mnist
from deltarule.data.formats.image_folder import (
    image_chunks,
    read_image,
    read_image_folder,
    read_images,
)
from deltarule.data.formats.mapped import map_array, read_mapped, write_mapped
from deltarule.data.formats.pickles import read_pickle
from deltarule.data.preprocessing.encoding import (
    LabelEncoder,
    balanced_class_weights,
    from_one_hot,
    multi_hot,
    one_hot,
)
from deltarule.data.preprocessing.pretext import (
    Pretext,
    masked_pretext,
    next_step_pretext,
)
from deltarule.data.preprocessing.scaling import StandardScaler
from deltarule.data.sampling.batches import DataLoader, batches, weighted_batches
from deltarule.data.sampling.folds import GroupKFold, KFold, StratifiedKFold
from deltarule.data.sampling.split import Split, split
from deltarule.data.schema import TableSchema
from deltarule.data.tabular.streaming import read_chunks
from deltarule.data.tabular.tables import (
    read_columns,
    read_examples,
    read_inputs,
    read_table,
)

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
