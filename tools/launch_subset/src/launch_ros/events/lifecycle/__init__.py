"""What may happen to lifecycle nodes."""

from launch._coverage import refuse_uncovered

from .change_state import ChangeState
from .state_transition import StateTransition

__all__ = ["ChangeState", "StateTransition"]

__getattr__ = refuse_uncovered(__name__)
