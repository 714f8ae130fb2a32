"""Figures as SVG text: lines, points, pictures.

Every figure stands alone: its own style for light and dark surroundings, no script, nothing from the network.
Colours are those of Okabe and Ito (2008), which colour-blind readers tell apart; names stand at the marks they
name instead of in a legend.
"""

from deltarule.render.svg.charts import Series, line_chart, scatter
from deltarule.render.svg.images import Picture, image_grid, png

__all__ = ["Picture", "Series", "image_grid", "line_chart", "png", "scatter"]
