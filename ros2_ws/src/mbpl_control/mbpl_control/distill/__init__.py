"""Distillation: recorded trials, or an ensemble of teachers, become one policy; no simulator, no graph."""
