"""The door to the kernel's NDP proxy: the addresses that it answers for on a NIC, and ours among them."""

from __future__ import annotations

import contextlib
import json
from ipaddress import IPv6Address

from guestnet.compile import ndp
from guestnet.host.run import ProgramError, run


def proxied() -> tuple[str, ...]:
    """Ours, each as `ADDRESS dev NIC`."""
    entries = json.loads(run("ip", "-j", "-6", "neigh", "show", "proxy") or "[]")
    ours = [one for one in entries if str(one.get("protocol")) == str(ndp.PROTOCOL)]
    return tuple(ndp.entry(one["dev"], IPv6Address(one["dst"])) for one in ours)


def answer(entry: str, *, there: bool) -> None:
    """Makes the kernel answer for an address, or no more. An entry of somebody else becomes ours: there is one an
    address and NIC. Raises GuestnetError, when there is no such NIC."""
    address, _, nic = entry.split(" ")
    if there:
        run("ip", "-6", "neigh", "replace", "proxy", address, "dev", nic, "protocol", str(ndp.PROTOCOL))
    else:
        with contextlib.suppress(ProgramError):  # it went with the NIC
            run("ip", "-6", "neigh", "del", "proxy", address, "dev", nic)
