"""What a run measures once its decoders stand. One task per file, registered under the file's name."""

from bench.tasks.base import TASKS, Task, Workbench

__all__ = ["TASKS", "Task", "Workbench"]
