"""Noise that is alike at near steps."""

from __future__ import annotations

import numpy as np

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import Array, check_whole

OWNER = "coloured_noise"


def coloured_noise(exponent: float, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    r"""Gaussian sequences whose power falls with frequency as 1/f^β, each number with variance 1.

        X_k ~ N(0, s_k²) complex,  s_k ∝ f_k^(−β/2),  f_k = k/T,   x_t = 1/T Σ_k X_k e^(2πi k t / T)

    β = 0 is white, 1 pink, 2 that of a random walk. The power at k = 0, where 1/f has none, is that at k = 1.

    Args:
        exponent: β, at least 0.
        shape: of the result; sequences run along its last dimension of T steps.
        rng: of the noise.

    Raises:
        InvalidFieldError: no such exponent or number of steps.

    Source: Timmer and König 1995, "On generating power law noise"; Pinneri et al. 2020 for its use in planning.
    """
    if not 0.0 <= exponent < np.inf:
        raise InvalidFieldError(OWNER, "exponent", str(exponent), "at least 0 and finite")
    steps = check_whole(OWNER, "steps", shape[-1], 1, 10**9)
    if exponent == 0.0:
        return rng.standard_normal(shape)
    frequency = np.fft.rfftfreq(steps)
    frequency[0] = 1.0 / steps
    scale = frequency ** (-0.5 * exponent)
    # numbers of the spectrum that are their own mirror image are real, all others come twice
    single = np.zeros(len(scale), dtype=bool)
    single[0] = True
    single[-1] |= steps % 2 == 0
    power = np.square(scale)
    scale *= steps / np.sqrt(power[single].sum() + 2.0 * power[~single].sum())
    parts = rng.standard_normal((2, *shape[:-1], len(scale)))
    spectrum = np.where(single, parts[0], np.sqrt(0.5) * (parts[0] + 1j * parts[1]))
    return np.asarray(np.fft.irfft(scale * spectrum, n=steps, axis=-1))
