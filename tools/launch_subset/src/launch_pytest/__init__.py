"""The part of `launch_pytest` that mbpl uses, after the public documentation of the package of the same name.

It is installed only where the genuine package is missing; README.md beside the sources says what it covers.
"""

from launch._coverage import refuse_uncovered

from . import actions, tools
from .fixture import fixture

__all__ = ["actions", "fixture", "tools"]

__getattr__ = refuse_uncovered(__name__)
