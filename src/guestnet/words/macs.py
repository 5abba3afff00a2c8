"""MAC addresses: lower case with colons, of one station."""

from __future__ import annotations

import re

from guestnet.words.problems import WrongError

_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}", re.ASCII)


def parse_mac(text: str) -> str:
    """`52:54:00:12:34:56`, in either case and with `-` for `:`, as lower case with colons. Raises WrongError."""
    mac = text.lower().replace("-", ":")
    if not _MAC.fullmatch(mac):
        raise WrongError(f'"{text}" is not a MAC address', "write six pairs of hex digits such as 52:54:00:12:34:56")
    if int(mac[:2], 16) & 1:
        raise WrongError(f"{mac} is a multicast MAC address", "the first pair must be even; 52:54:00 is what KVM uses")
    if mac == "00:00:00:00:00:00":
        raise WrongError(f"{mac} is nobody's MAC address", "write one such as 52:54:00:12:34:56, or leave it out")
    return mac
