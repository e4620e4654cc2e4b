"""Trajectory optimisation: LQR, iLQR, receding horizon."""
