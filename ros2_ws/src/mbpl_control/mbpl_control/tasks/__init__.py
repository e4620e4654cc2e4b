"""Tasks: what a robot shall do, from a YAML file that is checked down to its lines."""

from mbpl_control.tasks.catalog import find_task, list_tasks
from mbpl_control.tasks.conditions import Condition
from mbpl_control.tasks.success import Success
from mbpl_control.tasks.task import Task, load_task

__all__ = ["Condition", "Success", "Task", "find_task", "list_tasks", "load_task"]
