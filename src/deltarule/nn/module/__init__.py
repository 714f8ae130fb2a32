"""Modules: parameters and submodules found among attributes, a call, its context, and its errors."""
