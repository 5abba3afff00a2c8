"""The list of forwards, as text for people and as data for programs; for `forward list` and `status`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from guestnet.compile import ruleset
from guestnet.decide.forwardlist import DRIFT, Listed, listed
from guestnet.decide.forwardrows import Row, rows
from guestnet.decide.state import APPLIED
from guestnet.host import elements
from guestnet.host.files import read
from guestnet.words.listens import listens as where
from guestnet.words.problems import GuestnetError

_RUNNING = Path("/run/libvirt/qemu")  # NAME.xml is there while a guest runs; asking libvirt takes longer than all else
_STEP = 1000
NAMES = tuple(name for name in ruleset.MAPS if not name.startswith(("open", "source")))


def from_host(guest: str = "") -> list[Listed]:
    """As applied last: neither the file nor libvirt is asked. `guest`: only this one's. Raises GuestnetError."""
    file = read(APPLIED)
    try:
        document = json.loads(file.text) if file else {}
        if guest and guest not in document.get("guests", {}):
            raise _unknown(guest, sorted(document.get("guests", {})))
        return [one for one in of(document) if guest in ("", one.row.guest)]
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise GuestnetError("what was applied last can't be read", "run guestnet apply") from error


def _unknown(guest: str, known: Sequence[str]) -> GuestnetError:
    from guestnet.spec.near import did_you_mean  # noqa: PLC0415  the list does without, mostly

    return GuestnetError(f"guest {guest} is not in the file as it was applied last", did_you_mean(guest, known))


def of(document: Mapping[str, Any], running: Iterable[str] | None = None) -> list[Listed]:
    """`document`: what `spec.show.applied` wrote."""
    if running is None:
        running = (path.stem for path in _RUNNING.glob("*.xml"))
    # Large, and gone through once. What is counted meanwhile does no harm.
    flows = {int(name[-1]): elements.stream(name, exact=False) for name in ruleset.FLOW_SETS}
    return listed(rows(document), frozenset(running), elements.read(NAMES), flows)


def head() -> tuple[str, ...]:
    return ("listens", "guest", "families", "state", "connections", "bytes")


def cells(one: Listed) -> tuple[str, ...]:
    row = one.row
    families = " ".join(f"v{family}" for family, _ in row.targets)
    state = f"{DRIFT}: {one.why}" if one.why else one.state
    return listens(row), leads(row), families, state, f"{one.connections:,}", size(one.bytes)


def line(one: Listed) -> tuple[str, ...]:
    """As `status` has it."""
    place, end, families, state, connections, passed = cells(one)
    return f"{place} -> {end}", state, families, f"{connections} connection{'s' * (one.connections != 1)}", passed


def listens(row: Row) -> str:
    source = f" from {', '.join(row.sources)}" if row.sources else ""
    return where(row.listen, _span(row.first, row.last), row.protocol) + source


def leads(row: Row) -> str:
    return row.guest if row.protocol == "all" else f"{row.guest}:{_span(row.to, row.to + row.last - row.first)}"


def data(one: Listed) -> dict[str, Any]:
    """The stable shape of `forward list --format json`: see docs/nat.md."""
    row = one.row
    whole = row.protocol == "all"
    return {
        "guest": row.guest,
        "listen": list(row.listen) or ["any"],
        "ports": None if whole else _span(row.first, row.last),
        "to": None if whole else _span(row.to, row.to + row.last - row.first),
        "protocol": row.protocol,
        "from": list(row.sources),
        "families": [f"ipv{family}" for family, _ in row.targets],
        "state": one.state,
        "why": one.why,
        "connections": one.connections,
        "bytes": one.bytes,
    }


def size(count: int) -> str:
    """Bytes with a unit, as `38 MB`; up to 999 of each."""
    amount, units = float(count), iter(("B", "kB", "MB", "GB", "TB"))
    unit = next(units)
    while amount >= _STEP - 0.5 and (larger := next(units, "")):
        amount, unit = amount / _STEP, larger
    return f"{amount:.0f} {unit}"


def aligned(lines: Sequence[tuple[str, ...]], right: int) -> list[str]:
    """Columns lined up, the last `right` of them to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    left = len(widths) - right
    form = "  ".join(f"{{:{'<' if i < left else '>'}{width}}}" for i, width in enumerate(widths))
    return [form.format(*line).rstrip() for line in lines]


def _span(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"
