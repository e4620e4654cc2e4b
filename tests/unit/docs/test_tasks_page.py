"""The page about task files, held against the schema that reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pages import DOCS, code, codes, section, tables
from pydantic import BaseModel

from mbpl_control.core import TaskError
from mbpl_control.tasks import learning_schema, load_task, schema
from mbpl_control.tasks.catalog import list_tasks

PAGE = "tasks.md"
SECTIONS: dict[str, type[BaseModel]] = {
    "The file": schema.TaskFile,
    "robot": schema.RobotSection,
    "start": schema.StartSection,
    "A start condition": schema.StartCondition,
    "every term": schema.Term,
    "term: state": schema.StateTerm,
    "term: cosine": schema.CosineTerm,
    "term: action": schema.ActionTerm,
    "term: frame_position": schema.FramePositionTerm,
    "term: frame_distance": schema.FrameDistanceTerm,
    "term: frame_orientation": schema.FrameOrientationTerm,
    "term: joint_limits": schema.JointLimitsTerm,
    "limits": schema.LimitsSection,
    "success": schema.SuccessSection,
    "planner": schema.PlannerSection,
    "planner: mpc": schema.MpcSection,
    "noise": schema.NoiseSection,
    "learning": learning_schema.LearningSection,
    "learning: initial": learning_schema.InitialSection,
    "learning: prior": learning_schema.PriorSection,
    "learning: step": learning_schema.StepSection,
    "learning: exploration": learning_schema.ExplorationSection,
    "learning: surrogate": learning_schema.SurrogateSection,
    "learning: gps": learning_schema.GpsSection,
}


def rows_of(heading: str) -> dict[str, dict[str, str]]:
    """Rows of a section by key."""
    return {code(row["key"]): row for row in tables(PAGE, heading)}


@pytest.mark.parametrize("heading", SECTIONS)
def test_every_key_of_the_schema_is_on_the_page_with_its_default_and_no_other_is(heading: str) -> None:
    fields = dict(SECTIONS[heading].model_fields)
    if heading.startswith("term: "):
        # the word itself names the section, and what all terms have has a section of its own
        assert fields.pop("term").annotation.__args__ == (heading.removeprefix("term: "),)
        fields.pop("ramp")
    rows = rows_of(heading)
    assert set(rows) == set(fields)
    for key, field in fields.items():
        told = rows[key]["default"]
        if field.is_required():
            assert told == "required", key
        elif field.default in (None, "", []) or isinstance(field.default, BaseModel):
            assert told and told != "required", key
        else:
            assert code(told) == written(field.default), key


@pytest.mark.parametrize("heading", SECTIONS)
def test_the_page_tells_every_choice_and_bound_of_the_schema(heading: str) -> None:
    properties = SECTIONS[heading].model_json_schema()["properties"]
    for key, row in rows_of(heading).items():
        told = row["allowed"]
        for one in alternatives(properties[key]):
            for choice in one.get("enum", [one["const"]] if "const" in one else []):
                assert choice in codes(told), key
            for phrase in bounds(one):
                assert phrase in told, (key, phrase)


def alternatives(part: dict[str, Any]) -> list[dict[str, Any]]:
    """Single schemas that a value may follow; the members of a list among them."""
    if "anyOf" in part:
        return [one for member in part["anyOf"] for one in alternatives(member)]
    if part.get("type") == "array" and "minItems" not in part:
        return alternatives(part.get("items", {}))
    return [part]


def bounds(one: dict[str, Any]) -> list[str]:
    """A number's bounds, in the words of the page."""
    low, high = one.get("minimum"), one.get("maximum")
    if low is not None and high is not None:
        return [f"{low} to {high}"]
    words = [] if low is None else [f"{low:g} or more"]
    words += [] if high is None else [f"at most {high:g}"]
    words += [f"above {one['exclusiveMinimum']:g}"] if "exclusiveMinimum" in one else []
    return words + ([f"below {one['exclusiveMaximum']:g}"] if "exclusiveMaximum" in one else [])


def written(value: Any) -> str:
    """A default as the page writes it."""
    return f"[{', '.join(map(str, value))}]" if isinstance(value, list) else str(value)


def test_the_example_of_the_page_is_a_task(tmp_path: Path) -> None:
    text = block("yaml").replace("../models/arm7.xml", str(robot()))
    (tmp_path / "example.yaml").write_text(text)
    task = load_task(tmp_path / "example.yaml")
    assert (task.horizon, task.dt, len(task.conditions)) == (125, 0.02, 2)


@pytest.mark.parametrize(
    ("line", "wrong", "right"),
    [(3, "subteps: 4", "substeps: 4"), (9, "[0.0, 1.0, 0.0, -0.5, 0.0, 0.2]", "[0.0, 1.0, 0.0, -0.5, 0.0, 0.2, 0.0]")],
)
def test_the_errors_of_the_page_are_what_one_gets(tmp_path: Path, line: int, wrong: str, right: str) -> None:
    text = block("yaml").replace("../models/arm7.xml", str(robot())).replace(right, wrong, 1)
    lines = text.splitlines()
    at = next(i for i, content in enumerate(lines) if wrong in content)
    # as many lines before it as the page's message says
    path = tmp_path / "my_task.yaml"
    path.write_text("\n".join(["#"] * (line - 1 - at) + lines))
    promised = next(message for message in section(PAGE, "Tasks") if message.startswith(f"my_task.yaml:{line}:"))
    with pytest.raises(TaskError) as error:
        load_task(path)
    assert promised in str(error.value).splitlines()


def test_the_page_names_every_task_that_ships() -> None:
    shipped = {path.stem for path in (DOCS.parent / "sim" / "tasks").glob("*.yaml")}
    assert shipped <= set(list_tasks())
    assert {code(row["task"]) for row in tables(PAGE, "Tasks that ship")} == shipped


def block(language: str) -> str:
    """The first code block of the page in a language."""
    text = (DOCS / PAGE).read_text(encoding="utf-8")
    return text.partition(f"```{language}\n")[2].partition("```")[0]


def robot() -> Path:
    """The robot of the page's example."""
    return DOCS.parent / "sim" / "models" / "arm7.xml"
