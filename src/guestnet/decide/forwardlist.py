"""What the firewall knows of each forward: whether it is in force as it should, and what it counted. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Mapping
from typing import NamedTuple

from guestnet.compile import wire
from guestnet.decide.forwardrows import Row, elements
from guestnet.words.families import IPV4

ACTIVE, OFF, DRIFT = "active", "guest off", "drift"


class Element(NamedTuple):
    """Of a map or set, as the kernel has it."""

    data: bytes
    packets: int
    bytes: int


Contents = Mapping[str, Mapping[bytes, Element]]  # map -> key -> element
Flows = Iterable[tuple[bytes, Element]]  # (address, protocol and port as the client asked, what passed)
Owners = dict[str, dict[bytes, int]]  # map -> key -> the number of the row whose element that is
_Range = tuple[int, int, int]  # number of the row, first and last port
_NOTHING: dict[bytes, Element] = {}
_LOOPBACK = 127


class Listed(NamedTuple):
    """`why` says what a drift is. `connections` is counted anew when the table is; `bytes` are of both directions."""

    row: Row
    state: str
    why: str
    connections: int
    bytes: int


def listed(rows: Iterable[Row], running: Container[str], there: Contents, flows: Mapping[int, Flows]) -> list[Listed]:
    """`flows` by family. What is in force and belongs to no row comes last, with the guest that has the address."""
    all_rows = list(rows)
    guests = {wire.address(address): row.guest for row in all_rows for _, address in row.targets}
    left = {name: dict(held) for name, held in there.items()}
    owners: Owners = defaultdict(dict)
    judged = [_judge(i, row, row.guest in running, left, owners, guests) for i, row in enumerate(all_rows)]
    passed = _bytes(judged, owners, flows)
    judged = [one._replace(bytes=one.bytes + passed[i]) if i in passed else one for i, one in enumerate(judged)]
    return judged + [_nobodys(name, key, one, guests) for name, held in left.items() for key, one in held.items()]


def _judge(  # noqa: PLR0913, PLR0917  one pass over all elements, of which there are many
    number: int,
    row: Row,
    runs: bool,
    left: Mapping[str, dict[bytes, Element]],
    owners: Owners,
    guests: Mapping[bytes, str],
) -> Listed:
    """Takes what is the row's out of `left`, and notes in `owners` what would be."""
    connections = first = missing = there = 0
    why = ""
    for name, key, data in elements(row):
        owners[name][key] = number
        one = left.get(name, _NOTHING).pop(key, None)
        if one is None:
            missing += 1
            continue
        there += 1
        connections += one.packets
        first += one.bytes  # of connections' first packets, which the sets of flows leave to the maps
        if one.data != data:
            size = wire.ADDRESS[int(name[-1])]
            # Until its next lease, a guest whose address was changed has its forwards at the old one.
            if one.data[size:] != data[size:] or guests.get(one.data[:size], row.guest) != row.guest:
                why = f"leads to {_end(name, one.data)}"
    if runs:
        why = why or ("missing" if not there else "partly missing" if missing else "")
        return Listed(row, DRIFT if why else ACTIVE, why, connections, first)
    return Listed(row, DRIFT if there else OFF, "left over" if there else "", connections, first)


def _nobodys(name: str, key: bytes, one: Element, guests: Mapping[bytes, str]) -> Listed:
    family, said = int(name[-1]), wire.key(name, key)
    address = wire.address_text(one.data, family)
    guest = guests.get(one.data[: wire.ADDRESS[family]], address)
    last = wire.key(name, key[len(key) // 2 :]).port if "_range" in name else said.port
    row = Row(
        guest, (said.listen,) if said.listen else (), said.port, last, wire.data_port(one.data, family) or said.port,
        said.protocol, (said.source,) if said.source else (), False, ((family, address),),
    )  # fmt: skip
    return Listed(row, DRIFT, "left over", one.packets, one.bytes)


def _end(name: str, data: bytes) -> str:
    family = int(name[-1])
    port = wire.data_port(data, family)
    return f"{wire.address_text(data, family)}{f' port {port}' if port else ''}"


def _bytes(judged: list[Listed], owners: Owners, flows: Mapping[int, Flows]) -> dict[int, int]:
    """Number -> bytes. The kernel counts by address, protocol and port as the client asked; where several forwards fit
    (by `from`, or a NIC), they are of the first that had a connection."""
    passed: dict[int, int] = defaultdict(int)
    others, ranges = _index(owners)
    for family, found in flows.items():
        size = wire.ADDRESS[family]
        loop, on, whole, anywhere = (owners.get(f"{kind}{family}", {}) for kind in ("loop", "on", "whole", "any"))
        for key, one in found:
            address, asked = key[:size], key[size:]
            port = int.from_bytes(asked[4:6], "big")
            fits = [loop.get(asked) if address[0] == _LOOPBACK and family == IPV4 else None]
            for kind, exact in (
                (f"on{family}", on.get(key)),
                (f"nic{family}", None),
                (f"any{family}", anywhere.get(asked)),
            ):
                listen = address if kind.startswith("on") else b""
                fits += [*others.get((kind, listen + asked), ()), exact]
                fits += [i for i, low, high in ranges.get((kind, listen + asked[:4]), ()) if low <= port <= high]
                if kind.startswith("on") and fits != [None, None]:
                    break  # NICs and any are asked for this no more
                fits += [whole.get(address)] if kind.startswith("on") else []
            numbers = [i for i in fits if i is not None]
            if numbers:
                passed[next((i for i in numbers if judged[i].connections), numbers[0])] += one.bytes
    return passed


def _index(owners: Owners) -> tuple[dict[tuple[str, bytes], list[int]], dict[tuple[str, bytes], list[_Range]]]:
    """Of the maps in which a flow can't be looked up as it is: (kind with its family, listener, protocol and port) ->
    rows; and large ranges, by the same without the port."""
    others: dict[tuple[str, bytes], list[int]] = defaultdict(list)
    ranges: dict[tuple[str, bytes], list[_Range]] = defaultdict(list)
    for name, found in owners.items():
        kind, family, is_range = name.partition("_")[0].rstrip("46"), int(name[-1]), "_range" in name
        source = wire.ADDRESS[family] if "_from" in name else 0
        first = source + (wire.LINK if kind == "nic" else 0)
        interval = "_from" in name or is_range  # its key is the lower end, then the upper
        for whole, i in found.items() if first or is_range else ():
            key = whole[first : len(whole) // 2 if interval else None]
            if is_range:
                low, high = (int.from_bytes(end[-4:-2], "big") for end in (key, whole))
                ranges[f"{kind}{family}", key[:-4]].append((i, low, high))
            else:
                others[f"{kind}{family}", key].append(i)
    return others, ranges
