"""Layers of a model whose inputs are images or flattened images, which PyTorch stores channels first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

from deltarule import dtypes, nn
from deltarule.errors import ArgumentError
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.graph.walk import topological
from deltarule.nn.layers.recurrent import Recurrent
from deltarule.tensor.tensor import Tensor

_BATCH = 2


@final
class ImageInputs:
    """The kind of input of each layer of a model: an image, a flattened image, or neither.

    An input with three axes or more is an image, and so is the output of a spatial layer (convolution, pooling …); the
    output of recurrent, attention and dense layers is not. All other layers keep the kind of their input.

    Args:
        model: The model.
        input_shape: Shape of one example, channels last; None for a model without ``Flatten``.

    Raises:
        ArgumentError: A model with a ``Flatten`` and no ``input_shape``.

    >>> model = nn.Sequential(nn.Conv2d(1, 2, kernel_size=3), nn.Flatten(), nn.Linear(8, 3))
    >>> ImageInputs(model, (4, 4, 1)).flattened_shape(list(model)[2])
    (2, 2, 2)
    """

    def __init__(self, model: nn.Module, input_shape: Sequence[int] | None) -> None:
        self._images: dict[int, bool] = {}
        self._flat: dict[int, tuple[int, ...]] = {}
        if input_shape is not None:
            self._record(model, tuple(input_shape))
        elif any(isinstance(module, nn.Flatten) for _, module in model.named_modules()):
            raise ArgumentError(
                "input_shape",
                expected="the shape of one example, because the model flattens",
                got="None",
                hint="PyTorch orders the features of a flattened image differently: input_shape=(height, width, C).",
            )

    def is_image(self, module: nn.Module) -> bool:
        """Return whether the input of a layer is an image."""
        return self._images.get(id(module), False)

    def flattened_shape(self, module: nn.Module) -> tuple[int, ...] | None:
        """Return the shape, channels last, of the image whose flattened features are the input of a layer, or None."""
        return self._flat.get(id(module))

    def _record(self, model: nn.Module, shape: tuple[int, ...]) -> None:
        learned = (
            item.dtype for _, item in model.named_parameters(include_frozen=True)
        )
        start = Tensor(
            build.input_node(
                "x",
                (_BATCH, *shape),
                model.input_dtype() or next(learned, dtypes.FLOAT32),
            )
        )
        record = model.record()
        model.run(record, (start,), "inference", batched=True)
        image: dict[Node, bool] = {start.node: len(shape) >= 3}
        flat: dict[Node, tuple[int, ...] | None] = {start.node: None}
        for visit in record.trail:
            if not visit.inputs:
                continue
            given = visit.inputs[0].node
            self._propagate(given, image, flat)
            self._images[id(visit.layer)] = image[given]
            shape_before = flat[given]
            if shape_before is not None:
                self._flat[id(visit.layer)] = shape_before
            node = visit.output.node
            if isinstance(visit.layer, nn.Flatten) and given is not node:
                flat[node] = (
                    tuple(int(size) for size in given.shape[1:])
                    if image[given]
                    else None
                )
                image[node] = False
            elif hasattr(visit.layer, "n_axes"):
                image[node], flat[node] = True, None
            elif isinstance(
                visit.layer,
                (Recurrent, nn.MultiHeadAttention, nn.Embedding, nn.Linear, nn.Maxout),
            ):
                image[node], flat[node] = False, None

    def _propagate(
        self,
        node: Node,
        image: dict[Node, bool],
        flat: dict[Node, tuple[int, ...] | None],
    ) -> None:
        """Propagate the kinds along the graph: a result has that of its first operand with a known one."""
        for one in topological([node]):
            if one not in image:
                image[one] = any(
                    image[source] for source in one.sources if source.rank == one.rank
                )
            if one not in flat:
                known = (
                    flat[source] for source in one.sources if source.shape == one.shape
                )
                flat[one] = next((shape for shape in known if shape is not None), None)
