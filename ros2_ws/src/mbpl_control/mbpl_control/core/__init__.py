"""Types every other room uses: definitions of state and action, laws, dynamics, trials, errors."""

from mbpl_control.core.action_definition import ActionDefinition
from mbpl_control.core.controller import ExecutionMode, LinearGaussianController
from mbpl_control.core.dynamics import LinearGaussianDynamics
from mbpl_control.core.errors import (
    BagError,
    DefinitionMismatchError,
    FileFormatError,
    InvalidFieldError,
    MbplError,
    ModelError,
    RefusedError,
    SolverError,
    TaskError,
)
from mbpl_control.core.feedback_law import FeedbackLaw
from mbpl_control.core.refusal import Refusal
from mbpl_control.core.state_definition import (
    StateBlock,
    StateDefinition,
    joint_state_definition,
)
from mbpl_control.core.state_space import StateSpace
from mbpl_control.core.trial import Trial

__all__ = [
    "ActionDefinition",
    "BagError",
    "DefinitionMismatchError",
    "ExecutionMode",
    "FeedbackLaw",
    "FileFormatError",
    "InvalidFieldError",
    "LinearGaussianController",
    "LinearGaussianDynamics",
    "MbplError",
    "ModelError",
    "Refusal",
    "RefusedError",
    "SolverError",
    "StateBlock",
    "StateDefinition",
    "StateSpace",
    "TaskError",
    "Trial",
    "joint_state_definition",
]
