"""A push as it is written on the command line."""

from __future__ import annotations

import pytest

from mbpl_control.cli.replay import parse_push
from mbpl_control.core import InvalidFieldError


@pytest.mark.parametrize("text", ["0 40 -2.5", "0,40,-2.5", " 0, 40  -2.5 "])
def test_a_force_is_three_numbers_with_blanks_or_commas_between(text: str) -> None:
    push = parse_push(text, "tool", 1.5, 0.15)
    assert push.wrench.tolist() == [0.0, 40.0, -2.5, 0.0, 0.0, 0.0]
    assert (push.body, push.delay, push.duration) == ("tool", 1.5, 0.15)


@pytest.mark.parametrize(
    ("force", "body", "duration", "words"),
    [
        ("0 40", "tool", 0.1, "--push: found '0 40'; must be three finite numbers"),
        ("0 forty 0", "tool", 0.1, "three finite numbers"),
        ("0 nan 0", "tool", 0.1, "three finite numbers"),
        ("0 40 0", "", 0.1, "--push-body: found nothing; must be the name of a body"),
        ("0 40 0", "tool", 0.0, "--push-for: found 0.0 s; must be above 0 s"),
    ],
)
def test_what_is_not_a_push_is_refused_with_what_was_found_and_what_is_allowed(
    force: str, body: str, duration: float, words: str
) -> None:
    with pytest.raises(InvalidFieldError, match=words):
        parse_push(force, body, 0.0, duration)
