"""Reinforcement learning with a model: gradients through it, planning on it, values from what it imagines."""
