"""What is to be done when something happens."""

from .._coverage import refuse_uncovered
from .on_action_event_base import OnActionEventBase
from .on_execution_complete import OnExecutionComplete
from .on_process_exit import OnProcessExit
from .on_process_io import OnProcessIO
from .on_process_start import OnProcessStart
from .on_shutdown import OnShutdown

__all__ = [
    "OnActionEventBase",
    "OnExecutionComplete",
    "OnProcessExit",
    "OnProcessIO",
    "OnProcessStart",
    "OnShutdown",
]

__getattr__ = refuse_uncovered(__name__)
