"""Where a forward listens, as its list prints it, and as it can be named."""

from __future__ import annotations

from collections.abc import Sequence

from guestnet.words.ports import WHOLE


def listens(listen: Sequence[str], ports: str, protocol: str) -> str:
    """`up0:8080/tcp`, `[2001:db8::5]:8080/udp`. `listen`: addresses and
    NICs, empty for any; `ports` mean nothing to protocol all."""
    if protocol == WHOLE:
        return f"{', '.join(listen)}/{WHOLE}"
    if len(listen) > 1:
        return f"{', '.join(listen)}: {ports}/{protocol}"
    return "".join(f"[{one}]:" if ":" in one else f"{one}:" for one in listen) + f"{ports}/{protocol}"
