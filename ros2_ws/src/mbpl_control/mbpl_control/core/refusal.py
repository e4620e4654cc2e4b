"""Kinds of refusals."""

from __future__ import annotations

from enum import Enum


class Refusal(str, Enum):
    """What is wrong with a law, a state or a command that is refused: few kinds, so that each is counted."""

    TYPE = "type"
    SHAPE = "shape"
    NOT_FINITE = "not finite"
    COVARIANCE = "covariance"
    DEFINITION = "definition"
    JOINTS = "joints"
    GAINS = "gains"
    PLAN = "planned action"
    ORDER = "sequence"
    STAMP = "stamp"
    AGE = "age"
    VALUE = "value"
    OTHER = "other"
