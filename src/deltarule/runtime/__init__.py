"""Devices, values of leaves, eager evaluation, and the cache of compiled programs."""
