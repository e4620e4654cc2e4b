"""Many trials in one file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mbpl_control.core import FileFormatError, InvalidFieldError
from mbpl_control.runs.trial_archive import load_trials, save_trials


def test_trials_come_back_as_they_were_whatever_became_of_them(make_trial, tmp_path: Path) -> None:
    whole = make_trial(stop_reason="completed")
    short = make_trial(steps=2, random=1, costs=np.zeros(0), success=False, metadata={})
    none = make_trial(steps=0, random=2, costs=np.zeros(0), stop_reason="aborted: refused: its gains")
    back = load_trials(save_trials(tmp_path / "trials.npz", [whole, short, none, whole]))
    assert len(back) == 4
    for found, kept in zip(back, [whole, short, none, whole], strict=True):
        for name in ("states", "actions", "times", "costs"):
            np.testing.assert_array_equal(getattr(found, name), getattr(kept, name))
        for name in ("dt", "task", "task_hash", "condition", "controller", "seed", "success", "stop_reason"):
            assert getattr(found, name) == getattr(kept, name)
        assert found.state == kept.state and found.action.hash == kept.action.hash
        assert dict(found.metadata) == dict(kept.metadata)


def test_the_same_trials_make_the_same_file(make_trial, tmp_path: Path) -> None:
    files = [save_trials(tmp_path / name, [make_trial(), make_trial(random=4)]) for name in ("a.npz", "b.npz")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_an_array_that_is_a_single_number_is_refused_as_what_it_is(make_trial, tmp_path: Path) -> None:
    path = save_trials(tmp_path / "trials.npz", [make_trial()])
    with np.load(path) as data:
        arrays = {name: data[name] for name in data.files}
    np.savez(path, **{**arrays, "states": np.array(1.0)})
    with pytest.raises(FileFormatError, match="not a valid list of trials"):
        load_trials(path)


def test_trials_that_differ_in_kind_and_files_of_something_else_are_refused(make_trial, tmp_path: Path) -> None:
    with pytest.raises(InvalidFieldError, match="trials: found none"):
        save_trials(tmp_path / "x.npz", [])
    with pytest.raises(InvalidFieldError, match="different states, actions or steps"):
        save_trials(tmp_path / "x.npz", [make_trial(), make_trial(dt=0.1)])
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileFormatError, match="holds a 'trial'; expected a 'trials'"):
        load_trials(make_trial().save(tmp_path / "one.npz"))
