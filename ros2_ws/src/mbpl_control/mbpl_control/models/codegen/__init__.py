"""Straight-line kernels of rigid-body dynamics, generated for one robot: see docs/codegen.md."""
