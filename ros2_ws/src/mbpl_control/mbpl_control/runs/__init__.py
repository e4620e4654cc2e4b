"""Training runs: the loop around a learner, and the directory that keeps everything of it."""

from mbpl_control.runs.description import RunDescription
from mbpl_control.runs.directory import RunDirectory, SavedIteration
from mbpl_control.runs.training import Observer, TrainingRun

__all__ = ["Observer", "RunDescription", "RunDirectory", "SavedIteration", "TrainingRun"]
