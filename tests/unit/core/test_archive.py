"""Files of the core types: bit for bit, whole or not at all, and never a pickle."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mbpl_control.core import FileFormatError, LinearGaussianController, LinearGaussianDynamics, MbplError, Trial
from mbpl_control.core.archive import SCHEMA_VERSION

TYPES = {
    "linear_gaussian_controller": LinearGaussianController,
    "linear_gaussian_dynamics": LinearGaussianDynamics,
    "trial": Trial,
}


@pytest.fixture(params=TYPES)
def saved(request, make_controller, make_dynamics, make_trial) -> Any:
    makers = dict(zip(TYPES, (make_controller, make_dynamics, make_trial), strict=True))
    extreme = {"dt": 1.0 / 3.0, "metadata": {"small": 5e-324, "nested": [{"ä": [True, None, 1.1]}]}}
    return makers[request.param](random=8, **extreme)


def change_header(path: Path, **changes: Any) -> None:
    """Rewrite a file with some entries of its header changed; None removes one."""
    with np.load(path) as data:
        arrays = {name: data[name] for name in data.files}
    header = json.loads(arrays.pop("mbpl_header").tobytes())
    header.update(changes)
    header = {k: v for k, v in header.items() if v is not None}
    text = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
    np.savez_compressed(path, mbpl_header=text, **arrays)


def test_what_was_saved_is_loaded_bit_for_bit(saved, tmp_path: Path) -> None:
    path = saved.save(tmp_path / "file.npz")
    again = type(saved).load(path)
    for field in dataclasses.fields(saved):
        before, after = getattr(saved, field.name), getattr(again, field.name)
        if isinstance(before, np.ndarray):
            assert before.tobytes() == after.tobytes(), field.name
            assert before.shape == after.shape
        else:
            assert before == after, field.name


def test_the_suffix_is_added_and_an_older_file_is_replaced(saved, tmp_path: Path) -> None:
    first = saved.save(tmp_path / "law.v1")
    assert first == tmp_path / "law.v1.npz"
    assert saved.save(first) == first
    assert sorted(p.name for p in tmp_path.iterdir()) == ["law.v1.npz"]


def test_every_truncation_is_an_error_that_names_the_file(saved, tmp_path: Path) -> None:
    path = saved.save(tmp_path / "file.npz")
    content = path.read_bytes()
    for length in (*range(0, len(content), max(1, len(content) // 40)), len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(FileFormatError, match=r"file\.npz"):
            type(saved).load(path)


def test_a_file_with_flipped_bytes_is_an_error_or_still_valid_but_never_a_crash(saved, tmp_path: Path) -> None:
    path = saved.save(tmp_path / "file.npz")
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    failures = 0
    for place in rng.integers(0, len(content), 60):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        try:
            type(saved).load(path)
        except MbplError:
            failures += 1
    assert failures > 0


def test_a_file_that_says_it_is_encrypted_is_an_error_that_names_it(saved, tmp_path: Path) -> None:
    path = saved.save(tmp_path / "file.npz")
    content = bytearray(path.read_bytes())
    # the flags of each member, in its own header and in the directory at the end
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.find(mark)
        while at >= 0:
            content[at + flags] |= 1
            at = content.find(mark, at + 4)
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=r"file\.npz.*encrypted"):
        type(saved).load(path)


def test_a_pickle_is_refused_without_being_run(tmp_path: Path) -> None:
    marker = tmp_path / "ran"

    class Payload:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(marker),)

    raw = tmp_path / "raw.npz"
    raw.write_bytes(pickle.dumps(Payload()))
    hidden = tmp_path / "hidden.npz"
    np.savez(hidden, mbpl_header=np.array([Payload()], dtype=object))
    for path in (raw, hidden):
        with pytest.raises(FileFormatError, match="cannot be read"):
            Trial.load(path)
    assert not marker.exists()


def test_a_missing_file_a_single_array_and_a_foreign_npz_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="no such file"):
        Trial.load(tmp_path / "nothing.npz")
    with open(tmp_path / "array.npz", "wb") as stream:
        np.save(stream, np.zeros(3))
    with pytest.raises(FileFormatError, match="a single array"):
        Trial.load(tmp_path / "array.npz")
    np.savez(tmp_path / "foreign.npz", x=np.zeros(3))
    with pytest.raises(FileFormatError, match="not one that mbpl wrote"):
        Trial.load(tmp_path / "foreign.npz")


def test_a_file_of_another_kind_says_what_it_holds(make_trial, tmp_path: Path) -> None:
    path = make_trial().save(tmp_path / "file")
    with pytest.raises(FileFormatError, match="holds a 'trial'; expected a 'linear_gaussian_controller'"):
        LinearGaussianController.load(path)


@pytest.mark.parametrize("version", [SCHEMA_VERSION + 1, 0, "1", True])
def test_a_newer_or_unknown_schema_is_refused_with_what_this_code_reads(make_trial, tmp_path: Path, version) -> None:
    path = make_trial().save(tmp_path / "file")
    change_header(path, schema_version=version)
    with pytest.raises(FileFormatError, match=f"schema version {version!r}; this mbpl reads 1 to {SCHEMA_VERSION}"):
        Trial.load(path)


def test_a_file_without_a_field_says_which(make_trial, tmp_path: Path) -> None:
    path = make_trial().save(tmp_path / "file")
    change_header(path, seed=None)
    with pytest.raises(FileFormatError, match="a trial without seed"):
        Trial.load(path)


@pytest.mark.parametrize("field", ["seed", "dt", "state", "action", "metadata", "condition"])
def test_a_header_of_wrong_types_is_an_error_of_this_project(make_trial, tmp_path: Path, field: str) -> None:
    path = make_trial().save(tmp_path / "file")
    change_header(path, **{field: "nonsense"})
    with pytest.raises(MbplError):
        Trial.load(path)


def test_a_failed_save_leaves_the_older_file_and_no_scraps(make_trial, tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="cannot be written"):
        make_trial().save(tmp_path / "missing" / "file.npz")
    directory = tmp_path / "taken.npz"
    directory.mkdir()
    with pytest.raises(FileFormatError, match="cannot be written"):
        make_trial().save(directory)
    assert [p.name for p in tmp_path.iterdir()] == ["taken.npz"]
    assert stat.S_ISDIR(directory.stat().st_mode)
