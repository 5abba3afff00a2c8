"""What ends a guestnet that goes on, and what does not: one that reads its file from a pipe which says nothing yet."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SEED = Path(__file__).parent.parent.parent / "examples" / "seed.yaml"
MAIN = "from guestnet.faces.cli import main; main()"


@pytest.mark.parametrize("ignored", [True, False], ids=["under nohup", "plainly"])
def test_a_hang_up(tmp_path: Path, ignored: bool) -> None:
    fifo = tmp_path / "file"
    os.mkfifo(fifo)
    before = "trap '' HUP; " if ignored else ""
    argv = ["sh", "-c", f'{before}exec "$@"', "-", sys.executable, "-c", MAIN, "-f", str(fifo), "check"]
    started = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with fifo.open("w") as pipe:  # opened when guestnet has opened its end
        started.send_signal(signal.SIGHUP)
        if ignored:
            time.sleep(0.5)
            assert started.poll() is None
            pipe.write(SEED.read_text())
        else:
            started.wait(timeout=20)
    out, err = started.communicate(timeout=20)
    assert (started.returncode, "1 guest" in out) == ((0, True) if ignored else (130, False)), err
