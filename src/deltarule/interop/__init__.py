"""Exchange with other programs: ONNX."""
