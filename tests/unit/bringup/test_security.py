"""Launching under SROS 2: what is missing is named before a node is started."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

import pytest
from launch import LaunchContext, LaunchDescription, LaunchService
from mbpl_bringup.security import FILES, VARIABLES, KeystoreError, check_keystore, environment, secured

#: Nodes that each launch file starts itself.
NODES = {
    "mbpl.launch.py": [
        "mujoco_sim",
        "state_estimator",
        "controller_manager",
        "trial_runner",
        "bag_recorder",
        "ilqr_controller",
        "mpc_controller",
    ],
    "train.launch.py": ["dynamics_fitter", "lqr_flm_controller", "neural_policy", "gps_trainer"],
    "hardware.launch.py": ["hardware_bridge"],
}


@pytest.fixture
def keystore(tmp_path: Path) -> Path:
    """A directory laid out as `ros2 security create_keystore` and `create_enclave` lay it out."""
    for nodes in NODES.values():
        for name in nodes:
            enclave = tmp_path / "keystore" / "enclaves" / "mbpl" / name
            enclave.mkdir(parents=True)
            for file in FILES:
                (enclave / file).touch()
    return tmp_path / "keystore"


def test_a_keystore_that_has_every_enclave_is_taken(keystore: Path) -> None:
    assert check_keystore(str(keystore), ["mbpl/state_estimator"]) == keystore


def test_what_a_keystore_lacks_is_named_with_the_command_that_makes_it(keystore: Path, tmp_path: Path) -> None:
    with pytest.raises(KeystoreError, match=r"give enclaves:=DIRECTORY.*ros2 security create_keystore"):
        check_keystore("", [])
    with pytest.raises(KeystoreError, match=f"{tmp_path}/none: no keystore; `ros2 security create_keystore"):
        check_keystore(str(tmp_path / "none"), [])
    (keystore / "enclaves" / "mbpl" / "trial_runner" / "key.pem").unlink()
    with pytest.raises(KeystoreError, match=r"'/mbpl/trial_runner' lacks key.pem; `ros2 security create_enclave"):
        check_keystore(str(keystore), ["mbpl/state_estimator", "mbpl/trial_runner"])


def run(capfd: pytest.CaptureFixture[str], repository: Path, file: str, **arguments: str) -> tuple[int, str]:
    """Launch a file of the repository until it ends; the exit code, and what was printed."""
    spec = importlib.util.spec_from_file_location("launched", repository / "launch" / "launch" / file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    description: LaunchDescription = module.generate_launch_description()
    service = LaunchService()
    service.context.launch_configurations.update(arguments)
    service.include_launch_description(description)
    code = service.run()
    return code, "".join(capfd.readouterr())


@pytest.mark.parametrize("file", NODES)
def test_an_enclave_that_is_missing_ends_the_launch_before_anything_is_started(
    repository: Path, keystore: Path, capfd: pytest.CaptureFixture[str], file: str
) -> None:
    missing = NODES[file][0]
    shutil.rmtree(keystore / "enclaves" / "mbpl" / missing)
    robot = {"robot": str(repository / "examples" / "hardware" / "arm7.yaml")} if "hardware" in file else {}
    code, printed = run(capfd, repository, file, security="true", enclaves=str(keystore), **robot)
    assert code != 0
    assert f"enclave '/mbpl/{missing}' lacks" in printed
    assert "process started" not in printed


def test_nodes_get_the_environment_of_sros_2_and_the_launch_does_not(
    repository: Path, keystore: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    context = LaunchContext()
    given = {"security": "true", "enclaves": str(keystore), "namespace": "/mbpl"}
    context.launch_configurations.update(given)
    for action in secured(lambda _: ["trial_runner"]).execute(context) or []:
        action.execute(context)
    found = {variable: value.perform(context) for variable, value in environment().items()}
    assert found == {
        "ROS_SECURITY_ENABLE": "true",
        "ROS_SECURITY_STRATEGY": "Enforce",
        "ROS_SECURITY_KEYSTORE": str(keystore),
    }
    assert not [variable for variable in VARIABLES if variable in os.environ]


def test_without_security_the_shells_own_choice_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROS_SECURITY_ENABLE", "true")
    monkeypatch.delenv("ROS_SECURITY_STRATEGY", raising=False)
    context = LaunchContext()
    context.launch_configurations.update({"security": "false", "namespace": "mbpl"})
    for action in secured(lambda _: []).execute(context) or []:
        action.execute(context)
    found = {variable: value.perform(context) for variable, value in environment().items()}
    assert (found["ROS_SECURITY_ENABLE"], found["ROS_SECURITY_STRATEGY"]) == ("true", "")
