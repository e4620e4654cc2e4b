"""Filters from measurements to a state with covariance."""
