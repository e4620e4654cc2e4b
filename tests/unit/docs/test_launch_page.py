"""The page about launching, held against the launch file."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import yaml
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.utilities import perform_substitutions
from pages import DOCS, code, codes, section, tables

PAGE = "launch.md"
BRINGUP = DOCS.parent / "launch"


def description(file: str) -> LaunchDescription:
    """What a launch file says."""
    spec = importlib.util.spec_from_file_location("mbpl_launch", BRINGUP / "launch" / file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.generate_launch_description()


FILES = {"mbpl.launch.py": "Arguments", "train.launch.py": "Learning", "hardware.launch.py": "On a real robot"}


@pytest.mark.parametrize(("file", "heading"), FILES.items())
def test_the_page_lists_every_argument_with_its_default_and_choices_and_no_other(file: str, heading: str) -> None:
    declared = {}
    for entity in description(file).entities:
        if isinstance(entity, DeclareLaunchArgument):
            assert entity.description, entity.name
            given = entity.default_value
            default = "required" if given is None else perform_substitutions(LaunchContext(), given)
            declared[entity.name] = (default, list(entity.choices or ()))
    told = {code(row["argument"]): (code(row["default"]), codes(row["choices"])) for row in tables(PAGE, heading)}
    assert told == declared


def test_the_table_of_paces_tells_what_the_files_say() -> None:
    def parameters(name: str) -> dict[str, dict[str, object]]:
        content = yaml.safe_load((BRINGUP / "config" / name).read_text(encoding="utf-8"))
        return {node.removeprefix("/**/"): values["ros__parameters"] for node, values in content.items()}

    rows = {row[""]: row for row in tables(PAGE, "Pace")}
    for mode in ("realtime", "lockstep"):
        given = parameters(f"{mode}.yaml")
        assert code(rows["estimator"][f"`{mode}`"]) == given["state_estimator"]["filter"]
    assert parameters("realtime.yaml")["controller_manager"]["blend_time"] == 0.06
    assert rows["blending"]["`realtime`"].startswith("60 ms")
    lockstep = parameters("lockstep.yaml")["controller_manager"]
    assert (lockstep["blend_time"], lockstep["stream_blend_time"]) == (0.0, 0.0)


def test_the_controller_on_the_page_is_described_as_the_managers_parameters_are() -> None:
    text = "\n".join(section(PAGE, "A controller of your own")).partition("```yaml\n")[2].partition("```")[0]
    mine = yaml.safe_load(text)["/**/controller_manager"]["ros__parameters"]
    shipped = yaml.safe_load(Path(BRINGUP / "config" / "mbpl.yaml").read_text(encoding="utf-8"))
    known = shipped["/**/controller_manager"]["ros__parameters"]
    assert mine["controllers"] == [*known["controllers"], "mine"]
    assert set(mine["mine"]) == set(known["ilqr_mpc"])
