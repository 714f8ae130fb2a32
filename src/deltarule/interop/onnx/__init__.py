"""ONNX: models in and out, and the standard's backend interface (extra ``[onnx]``)."""

from deltarule.interop.onnx.exporter import export
from deltarule.interop.onnx.model import ImportedModel, load

__all__ = ["ImportedModel", "export", "load"]
