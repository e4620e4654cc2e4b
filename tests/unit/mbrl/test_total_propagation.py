"""Total propagation on a map that is as chaotic as one asks for, beside the two ways it is made of."""

from __future__ import annotations

import methods
import pytest
import torch

from mbpl_control.mbrl.gradient import best_share


@pytest.mark.parametrize("sensitivity", [0.5, 1.8, 2.3, 2.6])
def test_total_propagation_varies_no_more_than_the_better_way_and_far_less_where_they_cross(sensitivity: float) -> None:
    found = methods.gradient_variances(sensitivity, repetitions=30, steps=25, particles=300)
    ratio, path, total = found["likelihood_ratio"], found["pathwise"], found["total_propagation"]
    assert total < 1.1 * min(ratio, path)
    # a tame map is the path's, a wild one the likelihood ratio's
    assert path < 0.1 * ratio if sensitivity < 2.0 else path > 10.0 * ratio
    if sensitivity == 2.3:
        assert total < 0.1 * ratio


def test_the_share_is_that_of_least_variance_where_it_is_sure_and_one_way_alone_where_it_is_not() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 5000, 1, generator=generator, dtype=torch.float64)
    # independent, with variances 1 and 4: inverse to them
    assert best_share(a, 2.0 * b) == pytest.approx(0.2, abs=0.02)
    assert best_share(2.0 * b, a) == pytest.approx(0.8, abs=0.02)
    # what says the same and more adds nothing, however small its share would be by variances alone
    assert best_share(a, 2.0 * a + b) == 0.0
    assert best_share(2.0 * a + b, a) == 1.0
    assert best_share(a, a) == 0.0
