"""The page about costs, held against the terms."""

from __future__ import annotations

import re

import numpy as np
import pytest
from pages import DOCS, code, tables
from pydantic import TypeAdapter, ValidationError

from mbpl_control.costs import ramp_weights
from mbpl_control.tasks import schema

PAGE = "costs.md"
STEPS = 9


def test_the_page_lists_every_ramp_with_the_weights_it_gives() -> None:
    rows = {code(row["ramp"]): row["weight of state t"] for row in tables(PAGE, "Ramps")}
    pattern = schema.Ramp.__metadata__[0].metadata[0].pattern
    assert {name.partition("(")[0] for name in rows} == set(re.findall(r"[a-z]{2,}", pattern))
    t = np.arange(STEPS + 1)
    linear = (t + 1) / (STEPS + 1)
    formulas = {
        "1": np.ones(STEPS + 1),
        "(t + 1) / (T + 1)": linear,
        "((t + 1) / (T + 1))²": linear**2,
        "1 at T, else 0": t == STEPS,
        "1 on the last n states, else 0": t > STEPS - 3,
        "1 on the first n states, else 0": t < 3,
    }
    for name, told in rows.items():
        np.testing.assert_allclose(ramp_weights(name.replace("(n)", "(3)"), STEPS), formulas[told], atol=1e-15)
    with pytest.raises(ValidationError):
        TypeAdapter(schema.Ramp).validate_python("final(n)")


def test_every_term_has_a_section_with_an_example_that_the_schema_takes() -> None:
    import yaml

    text = (DOCS / PAGE).read_text(encoding="utf-8")
    terms = TypeAdapter(list[schema.AnyTerm])
    found = set()
    for heading, block in re.findall(r"^## (\w+)$.*?```yaml\n(.*?)```", text, re.MULTILINE | re.DOTALL):
        for term in terms.validate_python(yaml.safe_load(block)):
            assert term.term == heading
            found.add(heading)
    members = [schema.StateTerm, schema.CosineTerm, schema.ActionTerm, schema.FramePositionTerm]
    members += [schema.FrameDistanceTerm, schema.FrameOrientationTerm, schema.JointLimitsTerm]
    assert found == {member.model_fields["term"].annotation.__args__[0] for member in members}
