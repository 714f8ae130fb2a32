"""Summaries: one row per layer, with its arithmetic."""

from typing import TYPE_CHECKING

from deltarule.renamed import former_names

if not TYPE_CHECKING:  # a module of this name had it
    __getattr__ = former_names(
        __name__, {"Summary": "deltarule.nn.summary.summary:Summary"}
    )
