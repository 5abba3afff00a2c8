"""Who changes this host now, asked without a lock."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from guestnet.host import lock


def test_who_is_changing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "FOLDER", tmp_path)
    assert lock.changing() == ""
    with lock.apply_lock():
        assert lock.changing().startswith(f"process {os.getpid()}, ")
    assert lock.changing() == ""
    # One that was killed leaves its number, and no lock.
    (tmp_path / lock.NAMES[0]).write_text(f"{os.getpid()}\n")
    assert lock.changing() == ""


def test_to_ask_turns_nobody_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "FOLDER", tmp_path)
    with (tmp_path / lock.NAMES[0]).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert lock.changing() == "process ?"
    with lock.apply_lock():
        lock.changing()
        assert lock.changing() != ""
