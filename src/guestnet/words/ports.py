"""Ports and protocols: values that cannot be wrong once made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from guestnet.words.problems import WrongError

Protocol = Literal["tcp", "udp"]

LAST_PORT = 65535
WHOLE = "all"  # in a protocol's place: every packet for an address, whatever its protocol
_TOO_LONG = 9  # digits; up to there "out of range" says more than "not a port"


@dataclass(frozen=True, order=True)
class PortRange:
    """Ports `first` to `last`, both included, each 1 to 65535.

    Raises WrongError, a ValueError, when a port is out of range or the range is upside down.
    """

    first: int
    last: int

    def __post_init__(self) -> None:
        for port in (self.first, self.last):
            if not 1 <= port <= LAST_PORT:
                raise WrongError(f"port {port} is out of range", f"ports are 1 to {LAST_PORT}")
        if self.first > self.last:
            raise WrongError(f"the range {self.first}-{self.last} is upside down", "write the lower port first")

    def __len__(self) -> int:
        return self.last - self.first + 1

    def __contains__(self, port: object) -> bool:
        return isinstance(port, int) and self.first <= port <= self.last

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"

    def overlaps(self, other: PortRange) -> bool:
        return self.first <= other.last and other.first <= self.last


def every_port() -> PortRange:
    return PortRange(1, LAST_PORT)


def parse_ports(text: str) -> PortRange:
    """`8080` or `8000-8100` as a PortRange. Raises WrongError."""
    first, dash, last = text.partition("-")
    if not _digits(first) or (dash and not _digits(last)):
        raise WrongError(f'"{text}" is not a port', "write a number such as 8080, or a range such as 8000-8100")
    return PortRange(int(first), int(last if dash else first))


def _digits(text: str) -> bool:
    # str.isdigit alone takes other scripts' digits and superscripts; int() of thousands of digits raises
    return text.isascii() and text.isdigit() and len(text) < _TOO_LONG
