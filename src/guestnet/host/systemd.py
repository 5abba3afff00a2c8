"""The door to systemd: our one unit. Nothing else of systemd's is touched."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from guestnet.compile import unit
from guestnet.decide.state import File, Unit
from guestnet.host import files
from guestnet.host.run import ProgramError, run
from guestnet.words.problems import GuestnetError

_JOB = 120  # seconds: a start waits for units that are just starting and that ours comes after


def booted() -> bool:
    """Whether systemd runs this host (sd_booted(3) asks the same)."""
    return Path("/run/systemd/system").is_dir()


def installed() -> bool:
    return Path(unit.FILE).exists()


def read_unit() -> Unit | None:
    """Our unit as it is, None when its file is not there."""
    file = files.read(unit.FILE)
    if file is None:
        return None
    if not booted():
        return Unit(file.text, enabled=False, active=False)
    shown = run("systemctl", "show", unit.NAME, "--property=UnitFileState,ActiveState").splitlines()
    return Unit(file.text, "UnitFileState=enabled" in shown, "ActiveState=active" in shown)


def put_unit(after: Unit | None) -> None:
    """Makes the unit what `after` says, None: not there. Also where systemd does not run: then it is there at the next
    boot, or gone."""
    try:
        _put(after)
    except ProgramError as error:
        raise GuestnetError(error.what, f"see: systemctl status {unit.NAME}") from error


def _put(after: Unit | None) -> None:
    if after is None:
        if installed():
            _manage("stop")
            run("systemctl", "disable", unit.NAME)
            files.remove(unit.FILE)
        if booted():
            run("systemctl", "daemon-reload")
            with suppress(ProgramError):  # it says no to a unit that it has forgotten already
                run("systemctl", "reset-failed", unit.NAME)
        return
    files.write(unit.FILE, File(after.text))
    if booted():
        run("systemctl", "daemon-reload")
    run("systemctl", "enable" if after.enabled else "disable", unit.NAME)
    _manage("restart" if after.active else "stop")


def _manage(verb: str) -> None:
    if booted():
        run("systemctl", verb, unit.NAME, timeout=_JOB)
