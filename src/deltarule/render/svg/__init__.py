"""Figures as SVG text: lines, bars, points, matrices, pictures.

Every figure stands alone: its own style for light and dark surroundings, no script, nothing from the network.
Colours are those of Okabe and Ito (2008), which colour-blind readers tell apart; names stand at the marks they
name instead of in a legend.
"""

from deltarule.render.svg.charts import Series, bar_chart, line_chart, scatter
from deltarule.render.svg.images import Picture, image_grid, png
from deltarule.render.svg.matrices import confusion_matrix, heat_map

__all__ = [
    "Picture", "Series", "bar_chart", "confusion_matrix", "heat_map", "image_grid", "line_chart", "png", "scatter",
]  # fmt: skip
