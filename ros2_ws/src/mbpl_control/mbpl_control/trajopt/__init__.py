"""Trajectory optimisation: LQR, iLQR, receding horizon."""

from mbpl_control.trajopt.ilqr import ILQR
from mbpl_control.trajopt.lqr import LQRSolution, solve_lqr
from mbpl_control.trajopt.mpc import RecedingHorizon
from mbpl_control.trajopt.options import ILQROptions
from mbpl_control.trajopt.result import ILQRResult, Iteration

__all__ = [
    "ILQR",
    "ILQROptions",
    "ILQRResult",
    "Iteration",
    "LQRSolution",
    "RecedingHorizon",
    "solve_lqr",
]
