"""PCI addresses, in the kernel's spelling: `0000:01:10.0`, that is domain, bus, slot and function."""

from __future__ import annotations

import re

from guestnet.words.problems import WrongError

PARTS = ("domain", "bus", "slot", "function")
_ADDRESS = re.compile(r"(?:([0-9a-f]{4}):)?([0-9a-f]{2}):([01][0-9a-f])\.([0-7])", re.ASCII)


def parse_pci(text: str) -> str:
    """`01:10.0`, as lspci prints it, or `0000:01:10.0`. Returns the latter."""
    match = _ADDRESS.fullmatch(text.lower())
    if not match:
        raise WrongError(f'"{text}" is not a PCI address', "write one such as 0000:01:10.0, as lspci -D prints it")
    domain, bus, slot, function = match.groups()
    return f"{domain or '0000'}:{bus}:{slot}.{function}"


def joined(domain: str, bus: str, slot: str, function: str) -> str:
    """The address of which libvirt names the parts, as 0x0000, 0x01, 0x10, 0x0."""
    return f"{int(domain, 16):04x}:{int(bus, 16):02x}:{int(slot, 16):02x}.{int(function, 16)}"


def parts(address: str) -> tuple[str, str, str, str]:
    """The PARTS of an address, each in hexadecimal digits."""
    domain, bus, rest = address.split(":")
    slot, function = rest.split(".")
    return domain, bus, slot, function
