"""What may happen to ROS nodes."""

from launch._coverage import refuse_uncovered

from . import lifecycle

__all__ = ["lifecycle"]

__getattr__ = refuse_uncovered(__name__)
