"""Modules: registration of parameters and submodules, state dictionaries, freezing, errors of a call."""
