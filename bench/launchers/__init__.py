"""Who does the runs of a sweep, and where: one file per launcher, found by name (`conf/launcher/<name>.yaml`)."""

from bench.launchers.base import LAUNCHERS, Launcher

__all__ = ["LAUNCHERS", "Launcher"]
