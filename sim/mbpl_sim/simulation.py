"""The simulated robot, shared with the in-process agent so that both run the same physics."""

from mbpl_control.agents.simulation import Measurement, Push, Simulation, SimulationOptions

__all__ = ["Measurement", "Push", "Simulation", "SimulationOptions"]
