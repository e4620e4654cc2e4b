"""The part of `launch_ros` that mbpl uses, after the public documentation of the package of the same name.

It is installed only where the genuine package is missing; README.md beside the sources says what it covers.
"""

from launch._coverage import refuse_uncovered

from . import actions, event_handlers, events, parameter_descriptions, substitutions

__all__ = ["actions", "event_handlers", "events", "parameter_descriptions", "substitutions"]

__getattr__ = refuse_uncovered(__name__)
