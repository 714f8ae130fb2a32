"""The backend interface of ONNX, which its conformance tests use."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx.backend.base import Backend, BackendRep

from deltarule.graph import build
from deltarule.interop.onnx.call import element_type
from deltarule.interop.onnx.importer import translate
from deltarule.runtime.buffers import as_array, bind
from deltarule.runtime.realize import realize

__all__ = [
    "DeltaruleBackend",
    "DeltaruleRep",
    "prepare",
    "run_model",
    "supports_device",
]


class DeltaruleRep(BackendRep):
    """A prepared ONNX model."""

    def __init__(self, model: Any) -> None:
        self._model = model
        held = {initializer.name for initializer in model.graph.initializer}
        self._inputs = [value for value in model.graph.input if value.name not in held]

    def run(self, inputs: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Return the outputs for a list of arrays, or a dictionary of arrays by name."""
        del kwargs
        listed = (
            [inputs[v.name] for v in self._inputs]
            if isinstance(inputs, dict)
            else list(inputs)
        )
        given = {}
        for value, array in zip(self._inputs, listed, strict=False):
            kind = element_type(value.type.tensor_type.elem_type)
            fitted = as_array(np.asarray(array), kind)
            node = build.input_node(value.name, fitted.shape, kind)
            bind(node, fitted)
            given[value.name] = node
        outputs = realize(translate(self._model, given))
        return tuple(np.array(value) for value in outputs)


class DeltaruleBackend(Backend):
    """ONNX backend that runs models on the reference backend.

    >>> DeltaruleBackend.supports_device("CPU"), DeltaruleBackend.supports_device("CUDA")
    (True, False)
    """

    @classmethod
    def prepare(cls, model: Any, device: str = "CPU", **kwargs: Any) -> DeltaruleRep:
        """Check a model and prepare it."""
        super().prepare(model, device, **kwargs)
        onnx.checker.check_model(model)
        return DeltaruleRep(model)

    @classmethod
    def run_model(
        cls, model: Any, inputs: Any, device: str = "CPU", **kwargs: Any
    ) -> tuple[Any, ...]:
        """Prepare a model and run it."""
        return cls.prepare(model, device, **kwargs).run(inputs)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Return whether a device is the CPU."""
        return device == "CPU"


prepare = DeltaruleBackend.prepare
run_model = DeltaruleBackend.run_model
supports_device = DeltaruleBackend.supports_device
