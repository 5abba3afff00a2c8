"""New TCP connections a second through a forward: guestnet's table against one literal DNAT rule, and iptables rules.

One connection after the other, opened and reset, with nothing said: the kernel's work for it and nothing else, so that
a rule costs as much of it as it ever can.
"""

from __future__ import annotations

from contextlib import closing

from bench import roads
from bench.contestants import RANGED, contestants
from bench.roads import Rates
from bench.table import Bars, Cell, Effort, Goal, Grid, Table

COUNT = 40  # connections a turn, some 2 ms
RATIO = 0.97  # the goal


def measure(effort: Effort) -> Table:
    with roads.built(contestants(effort.forwards)) as built, closing(roads.Pace(built[0])) as pace:
        rates = roads.measured(built, pace, "connections", COUNT, effort.turns)
    return Table(
        name="connections",
        title="connections: new TCP connections a second through a forward, one after the other",
        grids=(grid("a second, and the ratio to one DNAT rule", rates, 1),),
        goals=goals("connections", rates),
        notes=NOTES,
        bars=tuple(bars("new connections, of one DNAT rule's", rates)),
    )


NOTES = (
    "p50, p90: of the turns' rates; ratio: of p90, which what else the machine does moves least; least, most: of the",
    f"ratio in {roads.PARTS} parts of the rounds.",
)


def grid(title: str, rates: Rates, unit: float) -> Grid:
    """`unit`: what rates are divided by."""
    rows = []
    floor = next(name for name, _ in rates)
    for name, family in rates:
        mine = rates[name, family]
        whole, least, most = roads.ratio(mine, rates[floor, family])
        row: dict[str, Cell] = {"": name, "family": f"IPv{family}", "turns": len(mine)}
        row |= {"p50": roads.middle(mine) / unit, "p90": roads.fast(mine) / unit}
        rows.append(row | {"ratio": whole, "least": least, "most": most})
    return Grid(title, tuple(rows), FORM)


FORM = dict.fromkeys(("p50", "p90"), "{:,.0f}") | dict.fromkeys(("ratio", "least", "most"), "{:.3f}")


def goals(what: str, rates: Rates) -> tuple[Goal, ...]:
    found = []
    floor = next(name for name, _ in rates)
    ratios = {key: roads.ratio(mine, rates[floor, key[1]])[0] for key, mine in rates.items() if judged(key[0])}
    if ratios:
        worst = min(ratios, key=lambda key: ratios[key])
        text = f"{what} through guestnet's maps: at least {RATIO} of one DNAT rule's"
        found.append(Goal(text, RATIO, round(ratios[worst], 3), f"{worst[0]}, IPv{worst[1]}", least=True))
    return tuple(found)


def judged(name: str) -> bool:
    return name.startswith("guestnet") and name != RANGED


def bars(title: str, rates: Rates) -> list[Bars]:
    floor = next(name for name, _ in rates)
    return [
        Bars(
            f"{title}, IPv{family}",
            {
                name: roads.ratio(mine, rates[floor, family])[0]
                for (name, which), mine in rates.items()
                if which == family
            },
            "",
        )
        for family in roads.ASKED
    ]
