"""What may happen to launched processes."""

from ..._coverage import refuse_uncovered
from .process_exited import ProcessExited
from .process_io import ProcessIO, ProcessStderr, ProcessStdout
from .process_started import ProcessStarted
from .process_targeted_event import ProcessTargetedEvent, ShutdownProcess, SignalProcess
from .running_process_event import RunningProcessEvent

__all__ = [
    "ProcessExited",
    "ProcessIO",
    "ProcessStarted",
    "ProcessStderr",
    "ProcessStdout",
    "ProcessTargetedEvent",
    "RunningProcessEvent",
    "ShutdownProcess",
    "SignalProcess",
]

__getattr__ = refuse_uncovered(__name__)
