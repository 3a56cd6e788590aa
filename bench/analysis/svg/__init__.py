"""Pictures as plain SVG files, for documents. Nothing is needed to draw them but text."""

from bench.analysis.svg.pareto import pareto_svg
from bench.analysis.svg.redundancy import redundancy_svg
from bench.analysis.svg.stages import roofline_svg, stages_svg

__all__ = ["pareto_svg", "redundancy_svg", "roofline_svg", "stages_svg"]
