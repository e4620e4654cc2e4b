"""What a check found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class Verdict(str, Enum):
    """How good what was found is."""

    OK = "ok"
    WARN = "warn"
    """It works, but not as well or as safely as it could."""
    FAIL = "fail"
    """Something that is asked for does not work."""


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's account.

    Attributes:
        check: what was looked at, in a word or two.
        verdict: how good it is.
        found: what was found, in words with figures.
        remedy: what to do; empty when all is well.
    """

    check: str
    verdict: Verdict
    found: str
    remedy: str = ""


def ok(check: str, found: str) -> Finding:
    """All is well."""
    return Finding(check, Verdict.OK, found)


def warn(check: str, found: str, remedy: str) -> Finding:
    """It could be better."""
    return Finding(check, Verdict.WARN, found, remedy)


def fail(check: str, found: str, remedy: str) -> Finding:
    """It does not work."""
    return Finding(check, Verdict.FAIL, found, remedy)


def passes(findings: Iterable[Finding]) -> bool:
    """Whether nothing that is asked for fails."""
    return all(f.verdict is not Verdict.FAIL for f in findings)
