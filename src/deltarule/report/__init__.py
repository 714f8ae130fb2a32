"""Reports of training runs as self-contained HTML pages."""

import warnings
from typing import Any

from deltarule.report.run import DataCard, Example, RunReport, Score
from deltarule.report.training import training_page

__all__ = ["DataCard", "Example", "RunReport", "Score", "training_page"]


def __getattr__(name: str) -> Any:
    """Return what an old name means now."""
    if name == "Run":
        message = "report.Run is now report.RunReport"
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        return RunReport
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
