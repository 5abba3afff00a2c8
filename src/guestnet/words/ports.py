"""Ports and protocols: values that cannot be wrong once made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Protocol = Literal["tcp", "udp"]


@dataclass(frozen=True, order=True)
class PortRange:
    """Ports `first` to `last`, both included, each 1 to 65535.

    Raises ValueError when a port is out of range or the range is upside down.
    """

    first: int
    last: int

    def __post_init__(self) -> None:
        for port in (self.first, self.last):
            if not 1 <= port <= 65535:
                raise ValueError(f"port {port} is out of range (ports are 1 to 65535)")
        if self.first > self.last:
            raise ValueError(f"the range {self.first}-{self.last} is upside down (write the lower port first)")

    def __len__(self) -> int:
        return self.last - self.first + 1

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"

    def overlaps(self, other: PortRange) -> bool:
        return self.first <= other.last and other.first <= self.last
