"""The Gaussian of the network's outputs: its divergence and its Fisher information."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.distributions import MultivariateNormal, kl_divergence

from mbpl_control.policies.network import PolicyNetwork, gaussian_kl, one_thread


def gaussian(network: PolicyNetwork, h: torch.Tensor) -> MultivariateNormal:
    return MultivariateNormal(h[:, : network.m], scale_tril=network.factors(h))


@pytest.fixture(params=["constant", "state_dependent"])
def network(request, make_policy) -> PolicyNetwork:
    return PolicyNetwork(make_policy(size=3, covariance=request.param))


@pytest.fixture
def heads(network: PolicyNetwork) -> torch.Tensor:
    size = 9 if network.state_dependent else 3
    return torch.randn(2, 6, size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_the_kl_divergence_is_that_of_torch(network: PolicyNetwork, heads: torch.Tensor) -> None:
    p, q = heads
    theirs = kl_divergence(gaussian(network, p), gaussian(network, q))
    torch.testing.assert_close(network.kl(p, q), theirs, rtol=1e-10, atol=1e-12)
    ours = gaussian_kl(p[:, :3], network.factors(p), q[:, :3], network.factors(q))
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


def test_the_fisher_information_is_the_second_derivative_of_the_kl_divergence(
    network: PolicyNetwork, heads: torch.Tensor
) -> None:
    h, v = heads
    product = network.fisher(h)(v)
    for i in range(len(h)):
        p = h[i : i + 1]
        fixed = gaussian(network, p)
        hessian = torch.autograd.functional.hessian(
            lambda q, fixed=fixed: kl_divergence(fixed, gaussian(network, q[None]))[0], p[0]
        )
        torch.testing.assert_close(product[i], hessian @ v[i], rtol=1e-9, atol=1e-10)


def test_the_number_of_threads_comes_back_even_after_an_error() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with pytest.raises(RuntimeError, match="inside"), one_thread():
            assert torch.get_num_threads() == 1
            raise RuntimeError("inside")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_network_inputs_are_those_of_the_policy_angles_among_them(make_policy) -> None:
    policy = make_policy()
    observations = torch.randn(9, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    ours = PolicyNetwork(policy).standardise(observations)
    np.testing.assert_allclose(ours.numpy(), policy.standardise(observations.numpy()), rtol=1e-14)
