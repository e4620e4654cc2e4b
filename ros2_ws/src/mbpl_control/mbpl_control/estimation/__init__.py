"""Filters: the robot's state from noisy measurements."""

from mbpl_control.estimation.ekf import ExtendedKalmanFilter
from mbpl_control.estimation.filter import PassThrough, StateFilter
from mbpl_control.estimation.model_free import ModelFreeFilter

__all__ = ["ExtendedKalmanFilter", "ModelFreeFilter", "PassThrough", "StateFilter"]
