"""The door to the units that serve [::1] (see compile.loopback)."""

from __future__ import annotations

from pathlib import Path

from guestnet.compile.loopback import START
from guestnet.decide.state import File, Proxy
from guestnet.host import files
from guestnet.host.run import ProgramError, run
from guestnet.host.systemd import booted
from guestnet.words.problems import GuestnetError

_FOLDER = Path("/etc/systemd/system")


def read() -> dict[str, Proxy]:
    """By name, all that are there; half of one too, so that it is made whole or taken away."""
    names = sorted({path.stem for kind in ("socket", "service") for path in _FOLDER.glob(f"{START}*.{kind}")})
    return {name: _proxy(name) for name in names}


def _proxy(name: str) -> Proxy:
    texts = [files.read(str(_FOLDER / f"{name}.{kind}")) for kind in ("socket", "service")]
    socket, service = ("" if file is None else file.text for file in texts)
    return Proxy(socket, service, _active(name))


def _active(name: str) -> bool:
    if not booted():
        return False
    shown = run("systemctl", "show", f"{name}.socket", "--property=UnitFileState,ActiveState").splitlines()
    return "ActiveState=active" in shown and "UnitFileState=enabled" in shown


def put(name: str, after: Proxy | None) -> None:
    try:
        _put(name, after)
    except ProgramError as error:
        raise GuestnetError(error.what, f"see: systemctl status {name}.socket") from error


def _put(name: str, after: Proxy | None) -> None:
    socket, service = (str(_FOLDER / f"{name}.{kind}") for kind in ("socket", "service"))
    if Path(socket).exists() and booted():
        run("systemctl", "disable", "--now", f"{name}.socket")
        run("systemctl", "stop", f"{name}.service")
    if after is None:
        files.remove(socket)
        files.remove(service)
        if booted():
            run("systemctl", "daemon-reload")
        return
    files.write(service, File(after.service))
    files.write(socket, File(after.socket))
    if booted():
        run("systemctl", "daemon-reload")
        run("systemctl", "enable", "--now", f"{name}.socket")
