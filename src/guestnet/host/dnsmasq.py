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


def reread(reservation: str) -> None:
    """For the network whose reservation file this is; nothing happens when it does not run."""
    network = unquote(str(Path(reservation).parent).removeprefix(FOLDERS))
    with contextlib.suppress(OSError, ValueError):
        pid = int((_PIDS / f"{network}.pid").read_text())
        if Path(f"/proc/{pid}/comm").read_text().strip() == "dnsmasq":
            os.kill(pid, signal.SIGHUP)
