"""Who changes this host now, asked without a lock."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
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


def test_whoever_it_is_takes_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other programs than ours use it too, as `python -c` does with a script of many lines."""
    monkeypatch.setattr(lock, "FOLDER", tmp_path)
    script = f"""
from pathlib import Path
from guestnet.host import lock
lock.FOLDER = Path({str(tmp_path)!r})
with lock.apply_lock():
    print(lock.changing(), end="")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "-c from pathlib import Path from guestnet" in done.stdout
    assert len(done.stdout.splitlines()) == 1
