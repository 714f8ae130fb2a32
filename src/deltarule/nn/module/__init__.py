"""Modules: registration of parameters and submodules, state dictionaries, freezing, errors of a call."""

from typing import TYPE_CHECKING

from deltarule.renamed import former_names

if not TYPE_CHECKING:  # a module of this name had it
    __getattr__ = former_names(
        __name__, {"Module": "deltarule.nn.module.module:Module"}
    )
