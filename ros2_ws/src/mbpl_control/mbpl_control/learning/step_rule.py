"""How far the next step may go, by what the last one promised and kept."""

from __future__ import annotations

#: The multiplier changes by at most these factors at once.
SHRINK, GROW = 0.1, 5.0


def next_multiplier(multiplier: float, predicted: float, actual: float, floor: float, cap: float) -> float:
    r"""The step multiplier after an improvement was predicted and another one came.

    With the improvement modelled as I(s) = p s + q s² of the step s, predicted improvement p s and the rest of the
    actual one q s², the best step is s · p / (2 (p − I)):

        multiplier' = multiplier · predicted / (2 (predicted − actual)),

    changed by at most `SHRINK` .. `GROW`, and kept between floor and cap. A step that kept all it promised grows.

    Args:
        multiplier: of the step that was made.
        predicted: improvement of the cost it promised.
        actual: improvement that came.
        floor: least multiplier.
        cap: largest multiplier.

    Source: Levine and Abbeel 2014, section 4.2 (step size adjustment).
    """
    factor = predicted / (2.0 * max(1e-4, predicted - actual))
    factor = max(SHRINK, min(GROW, factor))
    return max(floor, min(cap, factor * multiplier))
