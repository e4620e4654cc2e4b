"""Local models from trials: a mixture prior, time-varying linear regression under it, and how good the fit is."""
