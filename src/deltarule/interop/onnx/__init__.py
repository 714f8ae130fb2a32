"""ONNX: models in and out, and the standard's backend interface (extra ``[onnx]``)."""
