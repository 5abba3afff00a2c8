"""Root's logs in a /var/log where a group may write: no link of theirs leads them elsewhere."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import pytest

from guestnet.faces import bug
from guestnet.host.run import detach


def said(log: Path) -> str:
    detach(str(log), "echo", "words")
    end = time.monotonic() + 10
    while not (log.exists() and log.read_text()) and time.monotonic() < end:
        time.sleep(0.05)
    return log.read_text()


def test_a_log_is_added_to(tmp_path: Path) -> None:
    log = tmp_path / "guestnet" / "countdown.log"
    assert said(log) == "words\n"
    assert (log.parent.stat().st_mode & 0o777, log.stat().st_mode & 0o777) == (0o750, 0o600)


@pytest.mark.parametrize("trap", ["link for the log", "link for the folder", "folder of a group", "folder of nobody"])
def test_no_log_where_others_have_a_say(tmp_path: Path, trap: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is started is started all the same, and the log of a bug is in a file of its own."""
    precious, folder = tmp_path / "precious", tmp_path / "guestnet"
    precious.mkdir(mode=0o755)
    if trap == "link for the folder":
        folder.symlink_to(precious)
    else:
        folder.mkdir(mode=0o755)
    if trap == "link for the log":
        (folder / "log").symlink_to(precious / "log")
    elif trap == "folder of a group":
        folder.chmod(0o775)
    elif trap == "folder of nobody":
        if os.geteuid():
            pytest.skip("folders of others can be made by root only")
        os.chown(folder, 65534, 0)
    mark = tmp_path / "mark"
    detach(str(folder / "log"), "tee", str(mark))
    end = time.monotonic() + 10
    while not mark.exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert mark.exists()
    assert list(precious.iterdir()) == []
    assert list(folder.glob("[!l]*")) == []
    assert trap == "link for the log" or not (folder / "log").exists()
    if trap != "link for the log":
        monkeypatch.setattr(bug, "FOLDER", folder)
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        path = Path(bug.write_log())
        assert (path.parent, path.stat().st_mode & 0o777) == (tmp_path, 0o600)
