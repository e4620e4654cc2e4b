"""Laws as bags tell them: which of them are the same, and which ran without noise."""

from __future__ import annotations

import numpy as np

from mbpl_control.core import LinearGaussianController

#: Laws that differ by less than this share of their largest number are the same, recorded in two trials.
SAME = 1e-9


def silent(law: LinearGaussianController) -> bool:
    """Whether a law has no noise: it ran in another mode than sampled, which is how a bag tells it."""
    return not law.covariances.any()


def alike(law: LinearGaussianController, other: LinearGaussianController) -> bool:
    """Whether two laws say the same, but for rounding, over the steps both have.

    One that ran without its noise counts as the same with it, and one that was cut short as the whole of it.
    """
    steps = min(law.steps, other.steps)
    names = ["nominal_states", "planned_actions", "gains"]
    if not (silent(law) or silent(other)):
        names.append("covariances")
    for name in names:
        # a bag tells no state after the last action
        one, two = getattr(law, name)[:steps], getattr(other, name)[:steps]
        if one.shape != two.shape or np.abs(one - two).max() > SAME * max(np.abs(one).max(), 1e-300):
            return False
    return True
