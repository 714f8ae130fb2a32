"""Reports of training runs as self-contained HTML pages."""

from typing import TYPE_CHECKING

from deltarule.renamed import former_names
from deltarule.report.run import DataCard, Example, RunReport, Score
from deltarule.report.training import training_page

__all__ = ["DataCard", "Example", "RunReport", "Score", "training_page"]


if not TYPE_CHECKING:
    __getattr__ = former_names(__name__, {"Run": "deltarule.report:RunReport"})
