"""The stop-watch. It runs inside the lab's host, so that the way into it is not measured.

On standard input `Work` as JSON, on standard output the seconds of each step, in the order of the rounds:
{"nft": {"add": [0.0021, ...]}}. Exit code 1 and a text when a process failed or a map did not hold what it must.
"""

from __future__ import annotations

import gc
import json
import os
import random
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

from bench import maps

ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
PIPE = 65536  # bytes that a pipe holds: what a step reads is in it before the step starts, as far as it fits


@dataclass(frozen=True)
class Step:
    """A process, from its start to its end. `given`: the file whose text it reads on standard input, by a pipe."""

    label: str
    argv: list[str]
    given: str = ""


@dataclass(frozen=True)
class Turn:
    """The steps of one contestant: after `up` its elements are in the maps beside those of others, after `down` not."""

    name: str
    up: list[Step]
    down: list[Step]
    elements: dict[str, list[str]]


@dataclass(frozen=True)
class Work:
    """`rounds` and before them `spare`, which are not counted, each with every turn once, in an order of chance."""

    turns: list[Turn]
    present: dict[str, list[str]]  # every map, with the elements of others that it holds all the time
    rounds: int
    seed: int
    spare: int = 1

    def text(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, data: dict[str, Any]) -> Work:
        turns = [
            Turn(**turn | {side: [Step(**step) for step in turn[side]] for side in ("up", "down")})
            for turn in data["turns"]
        ]
        return cls(**data | {"turns": turns})


class WrongError(Exception):
    """A process failed, or left the maps in a state that they must not be in."""


def run(work: Work) -> dict[str, dict[str, list[float]]]:
    seconds: dict[str, dict[str, list[float]]] = {
        turn.name: {step.label: [] for step in (*turn.up, *turn.down)} for turn in work.turns
    }
    before = maps.encoded(work.present)
    after = {turn.name: before | joined(before, maps.encoded(turn.elements)) for turn in work.turns}
    check("before the first run", before)
    chance = random.Random(work.seed)  # noqa: S311  the order of runs
    for number in range(work.rounds + work.spare):
        for turn in chance.sample(work.turns, len(work.turns)):
            for steps, expected in ((turn.up, after[turn.name]), (turn.down, before)):
                for step in steps:
                    taken = timed(step)
                    if number >= work.spare:
                        seconds[turn.name][step.label].append(taken)
                check(f"after {turn.name}: {', '.join(step.label for step in steps)}", expected)
    return seconds


def timed(step: Step) -> float:
    """Runs it to its end; the seconds that took. Raises WrongError when its exit code is not 0."""
    read_end, write_end = os.pipe()
    if step.given:
        with open(step.given, "rb") as source:  # noqa: PTH123  pathlib would cost what is measured
            text = source.read(PIPE + 1)
        if len(text) > PIPE:
            raise WrongError(f"{step.given}: more than a pipe holds")
        os.write(write_end, text)
    os.close(write_end)
    actions = [
        (os.POSIX_SPAWN_DUP2, read_end, 0),
        (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
        (os.POSIX_SPAWN_OPEN, 2, "/dev/null", os.O_WRONLY, 0),
    ]
    began = time.perf_counter()
    pid = os.posix_spawn(step.argv[0], step.argv, ENVIRONMENT, file_actions=actions)
    status = os.waitpid(pid, 0)[1]
    taken = time.perf_counter() - began
    os.close(read_end)
    if status:
        raise WrongError(f"{' '.join(step.argv)}: exit code {os.waitstatus_to_exitcode(status)}")
    return taken


def joined(before: maps.Contents, more: maps.Contents) -> maps.Contents:
    return {name: before[name] | items for name, items in more.items()}


def check(when: str, expected: maps.Contents) -> None:
    found = maps.contents(expected)
    for name in expected:
        if found[name] != expected[name]:
            lacks, has = len(expected[name] - found[name]), len(found[name] - expected[name])
            raise WrongError(f"{when}: map {name} lacks {lacks} elements and has {has} that it must not have")


def main() -> int:
    work = Work.of(json.load(sys.stdin))
    gc.disable()  # it would run in the middle of something
    try:
        print(json.dumps(run(work)))
    except WrongError as wrong:
        print(wrong, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
