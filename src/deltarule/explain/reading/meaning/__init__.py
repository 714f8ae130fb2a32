"""The parts of the evaluation of formulas: values, products, indices, calls and chains of derivatives."""
