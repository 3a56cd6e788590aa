"""What a run measures once its decoders stand. One task per file, registered under the file's name.

Most judge a student beside its teacher; a task of arms compares any number of decoders that are named.
"""

from bench.tasks.base import ARM_TASKS, TASKS, ArmTask, Lineup, Making, Task, Workbench

__all__ = ["ARM_TASKS", "TASKS", "ArmTask", "Lineup", "Making", "Task", "Workbench"]
