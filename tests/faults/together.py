"""Scenarios tried side by side, each in a process and a lab of its own; what came of it, counted."""

from __future__ import annotations

import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Collection, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context

from tests.faults.cycles import Cycles, Point
from tests.faults.scenarios import SCENARIOS


@dataclass(frozen=True)
class Wanted:
    """Which of a scenario's points: every so many of each label, the first after `behind`; or only a few, drawn by a
    seed."""

    every: int = 1
    behind: int = 0
    few: int | None = None
    seed: int = 0

    def of(self, points: list[Point]) -> list[Point]:
        if self.few is not None:
            return random.Random(self.seed).sample(points, self.few)  # noqa: S311  not a secret
        return list(_thinned(points, self.every, self.behind))


@dataclass(frozen=True)
class Told:
    """Of one scenario: its effects and their kinds, how many points there are, those that were tried by label, and what
    failed."""

    name: str
    effects: int
    kinds: frozenset[str]
    points: int
    tried: Counter[str]
    failed: tuple[str, ...]
    seconds: float

    def lines(self) -> Iterator[str]:
        count = sum(self.tried.values())
        yield f"{self.name}: {self.effects} effects; {count} of {self.points} points tried in {self.seconds:.0f} s"
        yield from (f"  {number:5}  {what}" for what, number in sorted(self.tried.items()))
        yield from ([f"  {len(self.failed):5}  FAILED"] if self.failed else [])


def side_by_side(names: Collection[str], wanted: Wanted, jobs: int) -> Iterator[Told]:
    """As each ends. A lab lives as long as the thread that made it, so each has a process."""
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        for ready in as_completed([pool.submit(tried, name, wanted) for name in names]):
            yield ready.result()


def tried(name: str, wanted: Wanted) -> Told:
    """Goes on past failures, which it tells at once: the next point then begins with a host made anew."""
    begun = time.monotonic()
    one = next(one for one in SCENARIOS if one.name == name)
    counted: Counter[str] = Counter()
    failed: list[str] = []
    effects = points = 0
    kinds: frozenset[str] = frozenset()
    left: list[Point] | None = None
    while left is None or left:
        try:
            with Cycles(one) as cycles:
                if left is None:
                    effects, points = len(cycles.report.effects), len(cycles.points())
                    kinds = frozenset(effect.kind for effect in cycles.report.effects)
                    left = wanted.of(cycles.points())
                while left:
                    point = left.pop(0)
                    counted[point.label] += 1
                    cycles.try_(point)
        except Exception as error:  # noqa: BLE001  whatever it is: it is told, and the rest is tried
            told = str(error) if isinstance(error, AssertionError) else traceback.format_exc()
            failed.append(f"{name}: {told}")
            print(failed[-1], file=sys.stderr, flush=True)
            if left is None:
                break
    return Told(name, effects, kinds, points, counted, tuple(failed), time.monotonic() - begun)


def _thinned(points: list[Point], every: int, behind: int) -> Iterator[Point]:
    """With none left out, one at least of each label."""
    met: Counter[str] = Counter()
    for point in points:
        if met[point.label] % every == behind:
            yield point
        met[point.label] += 1
