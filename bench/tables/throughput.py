"""Bytes a second through one TCP connection of a forward: guestnet's table against one literal DNAT rule, and iptables.

Twice: in packets as the kernel makes them between veths (64 KiB), and in such as a NIC without offloads sends, which
pass the rules some forty times as often.
"""

from __future__ import annotations

from contextlib import closing

from bench import roads
from bench.contestants import contestants
from bench.table import Effort, Table
from bench.tables import connections

LARGE, SMALL = 8 << 20, 256 << 10  # bytes a turn, some 3 ms
MB = 1e6


def measure(effort: Effort) -> Table:
    with roads.built(contestants(effort.forwards)) as built, closing(roads.Pace(built[0])) as pace:
        large = roads.measured(built, pace, "bytes", LARGE, effort.turns // 2)
        roads.in_small_packets(built)
        small = roads.measured(built, pace, "bytes", SMALL, effort.turns // 2)
    return Table(
        name="throughput",
        title="throughput: bytes a second through one connection of a forward",
        grids=(
            connections.grid("MB a second in packets of 64 KiB, and the ratio to one DNAT rule", large, MB),
            connections.grid("MB a second in packets of 1500 bytes, and the ratio to one DNAT rule", small, MB),
        ),
        goals=(
            *connections.goals("bytes in packets of 64 KiB", large),
            *connections.goals("bytes in packets of 1500", small),
        ),
        notes=connections.NOTES,
        bars=tuple(connections.bars("bytes in packets of 1500, of one DNAT rule's", small)[:1]),
    )
