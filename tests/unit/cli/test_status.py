"""How a manager's status reads."""

from __future__ import annotations

import json

import pytest
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from mbpl_msgs.msg import ControllerState, ManagerStatus
from rich.console import Console

from mbpl_control.cli.graph import diagnostics_dict, diagnostics_table, status_dict, status_table


@pytest.fixture
def status() -> ManagerStatus:
    """A manager that runs feedback and has refused something."""
    return ManagerStatus(
        mode="active",
        reason="'ilqr_feedback' commands",
        active_controller="ilqr_feedback",
        step=17,
        joint_names=["pan", "lift"],
        controllers=[
            ControllerState(name="hold", type="hold", state="inactive", law_age=-1.0),
            ControllerState(
                name="ilqr_feedback",
                type="linear_gaussian",
                state="active",
                mode="mean",
                source="ilqr_controller/controller",
                law_sequence=3,
                law_age=2.5,
            ),
        ],
        rate=200.0,
        measured_rate=199.6,
        state_age=0.0021,
        tick_time_mean=85e-6,
        tick_time_max=310e-6,
        ticks=4000,
        deadline_misses=2,
        clamped=5,
        switches=4,
        largest_switch_step=0.0123,
        last_refusal="ilqr_mpc: gains [1] above 1e5",
    )


def text_of(status: ManagerStatus, width: int = 200) -> str:
    console = Console(width=width, record=True)
    console.print(status_table(status))
    return console.export_text()


def test_the_table_tells_mode_controllers_rates_ages_and_refusals(status: ManagerStatus) -> None:
    text = text_of(status)
    for words in (
        "active 'ilqr_feedback' commands",
        "linear_gaussian",
        "2.5 s",
        "200 of 200 Hz",
        "85 µs mean, 310 µs max",
        "state 2.1 ms old",
        "misses 2 of 4000",
        "largest step 1.23 % of a limit",
        "last refusal: ilqr_mpc: gains [1] above 1e5",
    ):
        assert words in text


def test_a_controller_without_a_law_shows_dashes_in_place_of_a_number_and_an_age(status: ManagerStatus) -> None:
    (row,) = [line for line in text_of(status).splitlines() if "hold" in line]
    assert row.count("–") == 2


def test_the_active_controller_and_its_state_stay_readable_in_a_terminal_of_eighty_columns(
    status: ManagerStatus,
) -> None:
    assert "ilqr_feedback" in text_of(status, 80)
    assert max(len(line) for line in text_of(status, 80).splitlines()) <= 80


def test_the_plain_form_is_json_with_every_field_of_the_message(status: ManagerStatus) -> None:
    data = json.loads(json.dumps(status_dict(status)))
    assert set(data) == set(ManagerStatus.get_fields_and_field_types()) - {"header"}
    assert data["controllers"][1]["law_sequence"] == 3
    assert data["joint_names"] == ["pan", "lift"]


def test_a_number_that_json_does_not_know_becomes_null(status: ManagerStatus) -> None:
    status.state_age = float("nan")
    assert status_dict(status)["state_age"] is None


def test_each_node_has_a_row_with_its_level_and_what_it_counted() -> None:
    said = [
        DiagnosticStatus(
            name="/mbpl/controller_manager: control",
            level=DiagnosticStatus.WARN,
            message="fallback: no state for 0.101 s",
            values=[
                KeyValue(key="laws refused: gains", value="3"),
                KeyValue(key="laws refused: stamp", value="0"),
                KeyValue(key="rate [Hz]", value="200"),
            ],
        ),
        DiagnosticStatus(name="/mbpl/mujoco_sim: simulation", message="running"),
    ]
    console = Console(width=200, record=True)
    console.print(diagnostics_table(said))
    manager, robot = [line for line in console.export_text().splitlines() if ": " in line][-2:]
    for words in ("controller_manager: control", "warn", "no state for 0.101 s", "laws refused: gains 3"):
        assert words in manager
    # nothing happened, or the table above tells
    assert "stamp" not in manager and "rate" not in manager
    assert "ok" in robot and "running" in robot
    assert diagnostics_dict(said)["/mbpl/mujoco_sim: simulation"]["level"] == "ok"
