"""What the doctor says of an installation."""

from __future__ import annotations

import fcntl
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mbpl_control.doctor.finding import Verdict, passes
from mbpl_control.doctor.installation import Installation, leftovers, look_at_installation
from mbpl_control.doctor.installation_checks import check_installation

SOUND = Installation((3, 12), discovery_range="LOCALHOST")

#: What is changed in a sound installation; check and verdict; what it says, and what to do.
FAULTS: dict[str, tuple[dict[str, Any], tuple[str, str, str, str]]] = {
    "an old Python": ({"python": (3, 9)}, ("Python", "fail", "3.9; 3.10 to 3.13", "make setup PYTHON=")),
    "no messages": (
        {"broken": (("mbpl_msgs.msg", "ModuleNotFoundError: x"),)},
        ("packages", "fail", "mbpl_msgs.msg cannot be imported", "source tools/env.sh"),
    ),
    "another version": (
        {"lock": Path("requirements"), "differing": (("numpy", "==2.4.6", "1.0"), ("scipy", "==1", ""))},
        ("versions", "warn", "numpy 1.0, pinned ==2.4.6; scipy missing", "make setup"),
    ),
    "a cache in a sealed place": (
        {"numba_cache": Path("/sealed"), "numba_writable": False},
        ("compiled code", "warn", "/sealed cannot be written", "NUMBA_CACHE_DIR"),
    ),
    "another middleware": ({"rmw": "rmw_x"}, ("middleware", "warn", "rmw_x", "RMW_IMPLEMENTATION")),
    "profiles that are not there": (
        {"profiles": Path("/no/file.xml")},
        ("profiles", "fail", "/no/file.xml", "FASTRTPS_DEFAULT_PROFILES_FILE"),
    ),
    "a domain that is none": ({"domain": "my robot"}, ("domain", "fail", "'my robot'", "0 to 101")),
    "a domain too far": ({"domain": "233"}, ("domain", "fail", "233", "0 to 101")),
    # 7400 + 250 * 102 = 32900, and Linux gives ports from 32768 on to any program
    "a domain of busy ports": ({"domain": "102"}, ("domain", "warn", "102", "0 to 101")),
    "an open house": ({"discovery_range": ""}, ("discovery", "warn", "other machines hear", "LOCALHOST")),
    "a range that is none": ({"discovery_range": "ALL"}, ("discovery", "fail", "'ALL'", "LOCALHOST, SUBNET")),
    "discovery that is off": ({"discovery_range": "OFF"}, ("discovery", "fail", "OFF", "LOCALHOST")),
    "a variable of old": ({"localhost_only": "1"}, ("discovery", "warn", "ROS_LOCALHOST_ONLY=1", "unset")),
    "little shared memory": ({"shm_free": 5.0}, ("shared memory", "warn", "5 MiB", "--shm-size")),
    "leftovers": ({"shm_leftovers": 3}, ("leftovers", "warn", "3 locks", "fastdds shm clean")),
    "few files": ({"open_files": 64}, ("open files", "fail", "64", "ulimit -n")),
    "one processor": ({"processors": 1}, ("processors", "warn", "1", "2 or more")),
    "a full disk": ({"temporary_free": 3.0}, ("temporary files", "fail", "3 MiB", "make room")),
}


def test_a_sound_installation_passes_every_check() -> None:
    assert {f.verdict for f in check_installation(SOUND)} == {Verdict.OK}


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_named_with_what_to_do(name: str) -> None:
    changed, (check, verdict, words, remedy) = FAULTS[name]
    found = [f for f in check_installation(replace(SOUND, **changed)) if f.verdict is not Verdict.OK]
    assert [(f.check, f.verdict.value) for f in found] == [(check, verdict)]
    assert words in found[0].found and remedy in found[0].remedy
    assert passes(found) == (verdict == "warn")


def test_the_installation_the_tests_run_in_has_no_broken_package_and_is_compared_with_its_lock() -> None:
    found = look_at_installation()
    assert found.broken == ()
    assert found.lock is not None and found.pinned > 50


def test_a_lock_in_shared_memory_counts_as_left_over_only_when_no_process_holds_it(tmp_path: Path) -> None:
    for name in ("fastrtps_port7411_el", "fastrtps_1234abcd_el", "fastrtps_port7411", "other_el"):
        (tmp_path / name).touch()
    with (tmp_path / "fastrtps_port7411_el").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert [p.name for p in leftovers(tmp_path)] == ["fastrtps_1234abcd_el"]
    assert len(leftovers(tmp_path)) == 2
    assert leftovers(tmp_path, tmp_path / "no locks are listed here") == []
    os.unlink(tmp_path / "other_el")
