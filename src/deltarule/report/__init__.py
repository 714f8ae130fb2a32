"""Pages that people look at: one HTML file a training run, readable without a network."""

from deltarule.report.run import DataCard, Example, Run, Score
from deltarule.report.training import training_page

__all__ = ["DataCard", "Example", "Run", "Score", "training_page"]
