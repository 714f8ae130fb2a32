"""Exchange with other programs: ONNX models, PyTorch weights."""
