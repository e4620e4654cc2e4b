"""Finding robot files."""

from __future__ import annotations

from pathlib import Path

import pytest

from mbpl_control.core import ModelError
from mbpl_control.models import resolve


def test_a_relative_path_starts_from_the_directory_given(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "robot.xml").write_text("<mujoco/>")
    assert resolve("robot.xml", tmp_path) == tmp_path / "robot.xml"
    assert resolve(str(tmp_path / "robot.xml"), Path("/")) == tmp_path / "robot.xml"
    monkeypatch.chdir(tmp_path)
    assert resolve("./robot.xml") == tmp_path / "robot.xml"


def test_a_package_is_looked_for_along_the_prefixes_in_their_order(tmp_path: Path, monkeypatch) -> None:
    for prefix in ("first", "second"):
        file = tmp_path / prefix / "share" / "my_robot" / "urdf" / "r.urdf"
        file.parent.mkdir(parents=True)
        file.write_text(prefix)
    prefixes = [str(tmp_path / p) for p in ("missing", "second", "first")]
    monkeypatch.setenv("AMENT_PREFIX_PATH", ":".join(prefixes))
    assert resolve("package://my_robot/urdf/r.urdf").read_text() == "second"


def test_the_panda_comes_from_its_wheel() -> None:
    path = resolve("package://example-robot-data/robots/panda_description/urdf/panda.urdf")
    assert path.name == "panda.urdf"


def test_a_missing_file_lists_every_place_that_was_looked_at(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "share").mkdir()
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))
    with pytest.raises(ModelError, match=rf"'package://a/b\.urdf' does not exist; looked for {tmp_path}/share/a/b"):
        resolve("package://a/b.urdf")
    with pytest.raises(ModelError, match=rf"looked for {tmp_path}/none\.xml"):
        resolve("none.xml", tmp_path)
    with pytest.raises(ModelError, match="does not exist"):
        resolve(str(tmp_path))
