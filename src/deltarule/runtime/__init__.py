"""Devices, values of leaves, evaluation at the prompt, compiled programs."""
