"""Guided policy search: local controllers and one policy, each pulled towards the other."""
