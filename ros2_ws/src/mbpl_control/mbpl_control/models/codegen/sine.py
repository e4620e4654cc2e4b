r"""Sine and cosine of full double precision from additions, multiplications and roundings alone.

The library's functions are called for one number at a time; these are arithmetic, and so are done for as many numbers
at once as the processor's registers hold.
"""

from __future__ import annotations

from math import factorial

from mbpl_control.models.codegen.expression import Expression, Scalar, floor

#: Angles, rad, up to which both results are right to `ACCURACY`: those of fewer than 2²² quarter turns. Beyond that,
#: the error grows with the angle.
RANGE = 6.5e6
#: Largest absolute error within `RANGE`.
ACCURACY = 4e-16

#: π/2 in three parts, the first two with 31 significant bits, so that their products with a number of quarter turns
#: below 2²² are exact.
PARTS_OF_QUARTER = (
    float.fromhex("0x1.921fb544p+0"),
    float.fromhex("0x1.0b4611a4p-34"),
    float.fromhex("0x1.13198a2e03707p-65"),
)
TWO_OVER_PI = float.fromhex("0x1.45f306dc9c883p-1")
#: Coefficients of the series behind their first terms, by the square of the angle.
SINE = [(-1.0) ** i / factorial(2 * i + 1) for i in range(1, 8)]
COSINE = [(-1.0) ** i / factorial(2 * i) for i in range(1, 9)]


def sine_and_cosine(angle: Expression) -> tuple[Scalar, Scalar]:
    r"""Sin and cos of an angle.

        angle = k π/2 + r,  |r| ≤ π/4           k the nearest whole number (Cody and Waite 1980)
        s = Σ_{i≤7} (−1)^i r^(2i+1) / (2i+1)!    c = Σ_{i≤8} (−1)^i r^(2i) / (2i)!

    The first terms left out are below 5e-17 and 3e-18. The quarter turns then exchange s and c and their signs, by
    factors that are exactly 0, 1 or −1.
    """
    k = floor(angle * TWO_OVER_PI + 0.5)
    r: Scalar = angle
    for part in PARTS_OF_QUARTER:
        r = r - k * part
    square = r * r
    s = r + r * square * _horner(SINE, square)
    c = 1.0 + square * _horner(COSINE, square)
    half = floor(k * 0.5)
    odd = k - 2.0 * half
    sign = 1.0 - 2.0 * (half - 2.0 * floor(half * 0.5))
    even = 1.0 - odd
    return sign * (even * s + odd * c), sign * (even * c - odd * s)


def _horner(coefficients: list[float], x: Scalar) -> Scalar:
    value: Scalar = coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        value = value * x + coefficient
    return value
