"""How close a decoded clip is to its reference. One metric per file, registered under the file's name."""

from bench.metrics.base import METRICS, Metric, NotApplicable, make_metric

__all__ = ["METRICS", "Metric", "NotApplicable", "make_metric"]
