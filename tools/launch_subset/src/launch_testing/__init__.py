"""The part of `launch_testing` that launch tests with pytest use: `ReadyToTest`."""

from launch._coverage import refuse_uncovered

from . import actions

__all__ = ["actions"]

__getattr__ = refuse_uncovered(__name__)
