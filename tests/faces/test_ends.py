"""The exit code is ours, also where the output finds nobody: Python's own would be 120."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from guestnet.faces.cli import document

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "seed.yaml"
GUESTNET = [sys.executable, "-c", "from guestnet.faces.cli import main; main()"]
BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}


def ended(out: int, *argv: str) -> tuple[int, str]:
    done = subprocess.run([*GUESTNET, *argv], stdout=out, stderr=subprocess.PIPE, text=True, check=False, env=BUFFERED)
    os.close(out)
    return done.returncode, done.stderr


def test_a_full_disk() -> None:
    out = os.open("/dev/full", os.O_WRONLY)
    assert ended(out, "schema") == (1, "No space left on device\n")


def test_a_terminal_that_is_gone() -> None:
    ours, theirs = pty.openpty()
    os.close(ours)
    assert ended(theirs, "schema") == (1, "Input/output error\n")


def test_a_reader_that_is_gone() -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    assert ended(theirs, "schema") == (1, "")


def test_errors_have_nobody_to_read_them(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    os.close(ours)
    argv = [*GUESTNET, "check", "-f", str(tmp_path / "none")]
    done = subprocess.run(argv, stdout=theirs, stderr=theirs, check=False, env=BUFFERED)
    os.close(theirs)
    assert done.returncode == 1


def test_nobody_reads_what_is_said_beside_the_data() -> None:
    """A verb that has done all it was to do has not failed by that, and its data are there."""
    argv = [*GUESTNET, "-f", str(EXAMPLE), "render", "--only", "xml"]
    full = os.open("/dev/full", os.O_WRONLY)
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=full, text=True, check=False, env=BUFFERED)
    os.close(full)
    assert (done.returncode, done.stdout.startswith("<network ")) == (0, True)
    ours, theirs = os.pipe()
    os.close(ours)
    again = subprocess.run(argv, stdout=subprocess.PIPE, stderr=theirs, text=True, check=False, env=BUFFERED)
    os.close(theirs)
    assert again.returncode == 0
    assert len(again.stdout) == len(done.stdout)


def test_there_is_one_way_to_say_something_beside_the_data() -> None:
    """`progress` waits for its reader, `agreed` asks, and both say so there."""
    faces = Path(document.__file__).parent.parent
    found = {
        path.name
        for path in faces.rglob("*.py")
        if "hook" not in path.parts and re.search(r"err=True|file=sys\.stderr", path.read_text())
    }
    assert found == {"aside.py", "report.py", "online.py"}


# Asks as the verbs do; what those need before they ask is in no one's way here.
ASKS = """
import guestnet.faces.cli as cli
from guestnet.faces.cli.online import agreed
cli._run = lambda *_: print("plan") or int(not agreed("Apply this?", yes=False))
cli.main()
"""


@pytest.mark.parametrize("session", [True, False], ids=["hung up", "only gone"])
def test_the_terminal_goes_at_the_question(session: bool) -> None:
    ours, theirs = pty.openpty()
    own = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)" if session else ""  # SIGHUP tells its end, too
    asking = subprocess.Popen(
        [sys.executable, "-c", own + ASKS],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        env=BUFFERED,
    )
    os.close(theirs)
    said = ""
    while "[y/N]" not in said:
        said += os.read(ours, 4096).decode()
    os.close(ours)
    assert asking.wait(timeout=20) in (130, 1)
