"""The process that counts down, by itself: in a mount namespace, where something waits and no libvirt is to undo it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

WAITS = """
import json, time
from guestnet.host import clock
waits = {"id": "x", "seconds": 1, "boot": clock.boot(), "until": 0, "uri": "test:///none", "at": 0}
open("/var/lib/guestnet/confirm.json", "w").write(json.dumps({"guestnet confirm": 1, **waits}))
"""
SCRIPT = """
set -e
mount -t tmpfs -o mode=755 tmpfs /run; mount -t tmpfs -o mode=755 tmpfs /var/lib; mkdir /var/lib/guestnet
"$1" -c "$2"
exec "$1" -I -m guestnet.faces.countdown 2> "$3"
"""


def test_it_goes_on_when_its_log_cannot_be_written(tmp_path: Path) -> None:
    """As on a full disk. What it says, that there is no such libvirt, is seen where the log can be written."""
    argv = ["unshare", "-rm", "sh", "-c", SCRIPT, "-", sys.executable, WAITS]
    log = tmp_path / "log"
    full, there = (subprocess.Popen([*argv, path]) for path in ("/dev/full", log))
    try:
        end = time.monotonic() + 30
        while "not the system libvirt" not in (log.read_text() if log.exists() else ""):
            assert time.monotonic() < end
            time.sleep(0.1)
        time.sleep(2)  # the other was started before
        assert there.poll() is None
        assert full.poll() is None
    finally:
        for one in (there, full):
            one.kill()
            one.wait()
