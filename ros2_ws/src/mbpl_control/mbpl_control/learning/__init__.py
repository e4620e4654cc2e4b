"""Learning by trial: what a learner is, and learning local controllers from a handful of trials."""
