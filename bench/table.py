"""A table of numbers, its goals, and how both are written: as text for people, as markdown, as data for `--json`."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

MANY = 20  # samples from which on a 95th percentile is more than the largest


@dataclass(frozen=True)
class Effort:
    """How much to measure. The first four are of the hook's table: forwards per family of the guest and of others."""

    sizes: tuple[int, ...] = (1, 10, 100, 1000)
    others: tuple[int, ...] = (0, 10_000)
    rounds: int = 40  # of each cell, in `blocks` parts
    blocks: int = 4  # each with every number of others: a slow minute of the machine is then everybody's
    turns: int = 400  # rounds of the tables of connections and bytes
    forwards: int = 10_000  # of the tables of connections, bytes and size
    guests: int = 500  # of the table of size
    runs: int = 5  # of each command of the table of size
    applies: int = 50  # of the table of outages
    peers: tuple[tuple[str, Path], ...] = ()  # checkouts of other hooks, by name


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


Cell = str | int | float


@dataclass(frozen=True)
class Grid:
    """Numbers under a title, row by row, by column. `form`: how numbers of a column are written, others as they are."""

    title: str
    rows: tuple[Mapping[str, Cell], ...]
    form: Mapping[str, str] = field(default_factory=dict)

    def data(self) -> dict[str, Any]:
        return {"title": self.title, "rows": [dict(row) for row in self.rows]}

    def cells(self) -> list[list[str]]:
        """As text, the columns' names first."""
        lines = [list(self.rows[0])]
        for row in self.rows:
            lines.append([self.form.get(name, "{}").format(value) for name, value in row.items()])
        return lines

    def text(self) -> str:
        return "\n".join([self.title, *aligned(self.cells())])

    def markdown(self) -> str:
        head, *lines = self.cells()
        rows = [head, ["---", *["---:"] * (len(head) - 1)], *lines]
        return "\n".join([f"{self.title}:", "", *("| " + " | ".join(row) + " |" for row in rows)])


@dataclass(frozen=True)
class Goal:
    """What was aimed at: at most `limit`, or `least`, at least. `worst` is the worst that was seen, and `where`."""

    what: str
    limit: float
    worst: float
    where: str
    least: bool = False

    @property
    def met(self) -> bool:
        return self.worst >= self.limit if self.least else self.worst <= self.limit

    def text(self) -> str:
        result = "met   " if self.met else "MISSED"
        worst = f"{self.worst:.3f}" if self.least else f"{self.worst:.1f}"
        return f"{result}  {self.what}: worst {worst} of {self.limit:g}, {self.where}"


@dataclass(frozen=True)
class Bars:
    """What the plot shows of a table: a bar for each name. `log`: the scale is logarithmic."""

    title: str
    values: Mapping[str, float]
    unit: str
    log: bool = False


@dataclass(frozen=True)
class Table:
    name: str
    title: str
    grids: tuple[Grid, ...]
    goals: tuple[Goal, ...] = ()
    notes: tuple[str, ...] = ()
    bars: tuple[Bars, ...] = ()

    def data(self) -> dict[str, Any]:
        goals = [asdict(goal) | {"met": goal.met} for goal in self.goals]
        return {
            "name": self.name,
            "title": self.title,
            "grids": [grid.data() for grid in self.grids],
            "goals": goals,
            "notes": self.notes,
        }

    def text(self) -> str:
        parts = [self.title, *(grid.text() for grid in self.grids), "\n".join(goal.text() for goal in self.goals)]
        return "\n\n".join(part for part in (*parts, "\n".join(self.notes)) if part) + "\n"

    def markdown(self) -> str:
        goals = "\n".join(f"- {' '.join(goal.text().split())}" for goal in self.goals)
        parts = [f"## {self.title}", *(grid.markdown() for grid in self.grids), goals, "\n".join(self.notes)]
        return "\n\n".join(part for part in parts if part) + "\n"


def aligned(lines: Iterable[Sequence[str]]) -> list[str]:
    """Columns to the right, two blanks between them."""
    rows = list(lines)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  " + "  ".join(word.rjust(width) for word, width in zip(row, widths, strict=True)) for row in rows]
