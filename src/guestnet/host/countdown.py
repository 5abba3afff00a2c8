"""The door to the process that counts down: a unit where systemd runs, else a process of its own, away from any
terminal. It must outlive who started it."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from guestnet.compile import countdown
from guestnet.decide.state import File
from guestnet.host import files, lock
from guestnet.host.run import ProgramError, detach, run
from guestnet.host.systemd import booted
from guestnet.words.problems import GuestnetError

PROGRAM = "guestnet.faces.countdown"
LOG = "/var/log/guestnet/countdown.log"


def start() -> None:
    """Doing it again changes nothing. Raises GuestnetError when it can't be started."""
    # -I: neither the caller's environment nor its folder has a say in what runs as root later.
    command = (sys.executable, "-I", "-m", PROGRAM)
    if booted():
        files.write(countdown.FILE, File(countdown.text(command)))
        try:
            run("systemctl", "daemon-reload")
            run("systemctl", "enable", "--now", countdown.NAME)
        except ProgramError as error:
            raise GuestnetError(error.what, f"see: systemctl status {countdown.NAME}") from error
    elif not lock.counting_down():
        detach(LOG, *command)


def where() -> str:
    """Where to read what it does."""
    return f"the journal (journalctl -u {countdown.NAME})" if booted() else LOG


def stop() -> None:
    """It is not needed any more. A process without systemd sees that by itself within a second."""
    if not os.path.lexists(countdown.FILE):
        return
    if booted():
        # Not the process: it may be the one that does this, and ends by itself.
        with suppress(ProgramError):
            run("systemctl", "disable", countdown.NAME)
    files.remove(countdown.FILE)
    if booted():
        run("systemctl", "daemon-reload")
