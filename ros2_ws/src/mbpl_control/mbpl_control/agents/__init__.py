"""Who runs a trial: in-process simulation, or the ROS graph."""

from mbpl_control.agents.agent import Agent
from mbpl_control.agents.mujoco import Disturbance, MujocoAgent
from mbpl_control.agents.simulation import Simulation, SimulationOptions

__all__ = ["Agent", "Disturbance", "MujocoAgent", "Simulation", "SimulationOptions"]
