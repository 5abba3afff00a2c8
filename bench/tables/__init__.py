"""The tables, one module each. A new one is a function from `Effort` to `Table`, with a line in TABLES."""

from __future__ import annotations

from collections.abc import Callable

from bench.table import Effort, Table
from bench.tables import connections, hook, outage, size, throughput
from bench.tables import list as forward_list

TABLES: dict[str, Callable[[Effort], Table]] = {
    "hook": hook.measure,
    "connections": connections.measure,
    "throughput": throughput.measure,
    "size": size.measure,
    "list": forward_list.measure,
    "outage": outage.measure,
}
