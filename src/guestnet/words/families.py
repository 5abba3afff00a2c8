"""The families of IP by their numbers, as `ipaddress` has them (`.version`) and keys of our mappings."""

from __future__ import annotations

from typing import Final

IPV4: Final = 4
IPV6: Final = 6
