"""The door to the networks' dnsmasq processes, which libvirt runs: they are told to read their reservations anew.

dnsmasq 2.90 reads a new file in a dhcp-hostsdir at once, but keeps the record of a changed or removed one beside it: a
reservation that goes back to an address it had before is then refused as a duplicate (seen). SIGHUP drops all records
and reads the folder anew; leases stay, and libvirt does the same for its own updates.
"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from urllib.parse import unquote

from guestnet.compile.dhcp import FOLDERS

_PIDS = Path("/run/libvirt/network")
_DAEMONS = [Path(name) for name in ("/run/libvirtd.pid", "/run/virtnetworkd.pid", "/run/libvirt/libvirtd.pid")]


def reread(reservation: str) -> None:
    """For the network whose reservation file this is; nothing happens when it does not run."""
    pid = running(unquote(str(Path(reservation).parent).removeprefix(FOLDERS)))
    if pid:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGHUP)


def running(network: str) -> int:
    """The process id of a network's dnsmasq; 0 when it does not run, or that can't be seen."""
    return _process(_PIDS / f"{network}.pid", "dnsmasq")


def stopped(network: str) -> bool:
    """Whether it is known that the network's dnsmasq does not run: not where the processes of libvirt are not to be
    seen, from a container."""
    daemons = (_process(path, path.stem) for path in _DAEMONS)
    return not running(network) and any(daemons)


def _process(file: Path, name: str) -> int:
    """By a file with its id; 0 when there is none of that name. One that was killed may be a zombie for a while."""
    with contextlib.suppress(OSError, ValueError):
        pid = int(file.read_text())
        stat = Path(f"/proc/{pid}/stat").read_text()
        if stat.partition("(")[2].startswith(f"{name})") and stat.rpartition(") ")[2][:1] not in "ZX":
            return pid
    return 0
