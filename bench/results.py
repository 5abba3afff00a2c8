"""Writes what was measured: `tables.md`, and `plot.svg`, a panel of bars for each thing a table wants shown."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from bench.table import Bars, Table

WIDTH, LABEL, LINE, TITLE = 760, 230, 22, 44  # pixels
OURS, OTHERS = "#2a78b8", "#b0b7bd"


def write(folder: Path, machine: Mapping[str, object], tables: Sequence[Table]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    facts = "\n".join(f"- {name}: {value}" for name, value in machine.items())
    text = "\n".join(table.markdown() for table in tables)
    (folder / "tables.md").write_text(f"# One run\n\n{facts}\n\n{text}")
    panels = [bars for table in tables for bars in table.bars if bars.values]
    (folder / "plot.svg").write_text(svg(panels))


def svg(panels: Sequence[Bars]) -> str:
    parts, top = [], 10
    for bars in panels:
        parts += list(_panel(bars, top))
        top += TITLE + LINE * len(bars.values)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{top + 10}" font-family="sans-serif">'
    return "\n".join([head, f'<rect width="{WIDTH}" height="{top + 10}" fill="white"/>', *parts, "</svg>\n"])


def _panel(bars: Bars, top: int) -> Iterator[str]:
    scale = ", logarithmic" if bars.log else ""
    yield f'<text x="10" y="{top + 22}" font-size="14" font-weight="bold">{escape(bars.title)}{scale}</text>'
    for number, (name, value) in enumerate(bars.values.items()):
        y = top + 32 + LINE * number
        length = _length(value, bars)
        colour = OURS if name.startswith("guestnet") else OTHERS
        yield f'<text x="{LABEL - 8}" y="{y + 13}" font-size="12" text-anchor="end">{escape(name)}</text>'
        yield f'<rect x="{LABEL}" y="{y + 2}" width="{length:.1f}" height="{LINE - 7}" fill="{colour}"/>'
        yield f'<text x="{LABEL + length + 5:.1f}" y="{y + 13}" font-size="12">{_number(value)}{bars.unit}</text>'


def _length(value: float, bars: Bars) -> float:
    """Logarithmic ones begin at a tenth of the least, so that every bar can be seen."""
    room, most = WIDTH - LABEL - 90, max(bars.values.values())
    if not bars.log:
        return room * value / most
    least = min(bars.values.values()) / 10
    return room * math.log(value / least) / math.log(most / least)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.3g}"  # noqa: PLR2004  three digits are shown
