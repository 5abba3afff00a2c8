"""A table of times, its goals, and how both are written: as text for people, as data for `--json`."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

MANY = 20  # samples from which on a 95th percentile is more than the largest


@dataclass(frozen=True)
class Effort:
    """How much to measure: forwards per family of the guest, forwards per family of others, and rounds."""

    sizes: tuple[int, ...] = (1, 10, 100, 1000)
    others: tuple[int, ...] = (0, 10_000)
    rounds: int = 40  # of each cell, in `blocks` parts
    blocks: int = 4  # each with every number of others: a slow minute of the machine is then everybody's


@dataclass(frozen=True)
class Times:
    """Of one thing measured `runs` times, in ms."""

    p50: float
    p95: float
    runs: int

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Times:
        ms = sorted(1000 * value for value in seconds)
        p95 = statistics.quantiles(ms, n=20)[-1] if len(ms) >= MANY else ms[-1]
        return cls(round(statistics.median(ms), 3), round(p95, 3), len(ms))


@dataclass(frozen=True)
class Row:
    """What tells the row from others (`others`, `forwards`), its times by column, its ratios of p50 by column."""

    key: dict[str, int]
    times: dict[str, Times]
    ratios: dict[str, float]


@dataclass(frozen=True)
class Goal:
    """What was aimed at; `worst` is the worst that was seen, and `where`."""

    what: str
    limit: float
    worst: float
    where: str

    @property
    def met(self) -> bool:
        return self.worst <= self.limit

    def text(self) -> str:
        result = "met   " if self.met else "MISSED"
        return f"{result}  {self.what}: worst {self.worst:.1f} of {self.limit:g}, {self.where}"


@dataclass(frozen=True)
class Table:
    name: str
    title: str
    rows: tuple[Row, ...]
    floors: dict[str, Times]
    goals: tuple[Goal, ...]
    notes: tuple[str, ...] = ()

    def data(self) -> dict[str, Any]:
        return asdict(self) | {"goals": [asdict(goal) | {"met": goal.met} for goal in self.goals]}

    def text(self) -> str:
        parts = [self.title]
        for which in ("p50", "p95"):
            parts += ["", f"{which}, ms{', and ratios of p50' if which == 'p50' else ''}", *self._grid(which)]
        parts += ["", "floors, p50 (p95), ms"]
        parts += [f"  {name:<40} {times.p50:.1f} ({times.p95:.1f})" for name, times in self.floors.items()]
        parts += ["", *(goal.text() for goal in self.goals)]
        return "\n".join([*parts, "", *self.notes]) + "\n"

    def _grid(self, which: str) -> list[str]:
        first = self.rows[0]
        ratios = list(first.ratios) if which == "p50" else []
        lines = [[*first.key, *first.times, *ratios]]
        for row in self.rows:
            keys = [str(value) for value in row.key.values()]
            times = [f"{getattr(times, which):.1f}" for times in row.times.values()]
            lines.append([*keys, *times, *(f"{row.ratios[name]:.1f}x" for name in ratios)])
        return aligned(lines)


def aligned(lines: Iterable[Sequence[str]]) -> list[str]:
    """Columns to the right, two blanks between them."""
    rows = list(lines)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  " + "  ".join(word.rjust(width) for word, width in zip(row, widths, strict=True)) for row in rows]
