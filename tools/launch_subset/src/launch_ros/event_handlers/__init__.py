"""What is to be done when something happens to ROS nodes."""

from launch._coverage import refuse_uncovered

from .on_state_transition import OnStateTransition

__all__ = ["OnStateTransition"]

__getattr__ = refuse_uncovered(__name__)
