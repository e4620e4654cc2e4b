"""What tests can tell a launch description to do."""

from launch._coverage import refuse_uncovered
from launch_testing.actions.ready import ReadyToTest

__all__ = ["ReadyToTest"]

__getattr__ = refuse_uncovered(__name__)
