"""What a file of a user's may not do: fill the memory, or run code."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from mbpl_control.core import FileFormatError, ModelError, TaskError, Trial, user_files
from mbpl_control.models import RobotModel
from mbpl_control.tasks import load_task


def sparse(path: Path, size: int) -> Path:
    """A file of a size that takes no room on the disk."""
    with open(path, "wb") as stream:
        stream.truncate(size)
    return path


@pytest.mark.parametrize(
    ("name", "load", "error", "limit"),
    [
        ("task.yaml", load_task, TaskError, user_files.MAX_TEXT_BYTES),
        ("robot.xml", RobotModel.from_file, ModelError, user_files.MAX_TEXT_BYTES),
        ("trial.npz", Trial.load, FileFormatError, user_files.MAX_ARCHIVE_BYTES),
    ],
)
def test_a_file_larger_than_its_kind_may_be_is_refused_before_it_is_read(name, load, error, limit, tmp_path) -> None:
    with pytest.raises(error, match=rf"{name}: .* MiB; must be at most {limit // user_files.MIB} MiB"):
        load(sparse(tmp_path / name, limit + 1))


def test_an_archive_that_would_unpack_to_more_than_the_bound_is_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(user_files, "MAX_ARCHIVE_BYTES", 4 * user_files.MIB)
    path = tmp_path / "trial.npz"
    np.savez_compressed(path, zeros=np.zeros(10**6))
    assert path.stat().st_size < user_files.MIB
    with pytest.raises(FileFormatError, match=r"7\.6 MiB unpacked; must be at most 4 MiB"):
        Trial.load(path)


def test_an_array_that_claims_a_size_it_does_not_have_is_an_error_of_the_file(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (2**48,)})
    path = tmp_path / "trial.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("states.npy", header.getvalue())
    with pytest.raises(FileFormatError, match="cannot be read"):
        Trial.load(path)


def test_aliases_of_aliases_do_not_fill_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "bomb.yaml"
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    path.write_text("\n".join(lines))
    with pytest.raises(TaskError, match=f"more than {user_files.MAX_YAML_VALUES} values"):
        load_task(path)


@pytest.mark.parametrize("text", ["a: &a [*a]\n", "[" * 100_000])
def test_a_yaml_without_an_end_is_an_error_of_the_task(text: str, tmp_path: Path) -> None:
    path = tmp_path / "deep.yaml"
    path.write_text(text)
    with pytest.raises(TaskError, match=r"deep\.yaml"):
        load_task(path)


def test_a_yaml_with_a_python_tag_makes_no_object(tmp_path: Path) -> None:
    victim = tmp_path / "made_by_the_file"
    path = tmp_path / "evil.yaml"
    path.write_text(f"name: !!python/object/apply:pathlib.Path.mkdir [!!python/object/apply:pathlib.Path ['{victim}']]")
    with pytest.raises(TaskError):
        load_task(path)
    assert not victim.exists()
