"""The prediction beside the real getaddrinfo, for random cases: `make fuzz-select ARGS='--cases N --seed S'`.

No difference is tolerated. Each is printed as a case that `guestnet select --case -` takes, with both answers.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from guestnet.decide.select.case import Case, from_json
from guestnet.decide.select.order import by_glibc
from guestnet.decide.select.source import Kernel
from tests.glibc.drawn import QUESTIONS, drawn

ASK = Path(__file__).with_name("ask.py")
# It dies with whoever started it; nothing that it mounts or makes is seen outside.
ALONE = ("setpriv", "--pdeathsig", "KILL", "unshare", "--net", "--mount", "--fork", "--kill-child")
SHOWN = 3  # differences


@dataclass(frozen=True)
class Difference:
    """Of one question, or of the sources that the kernel chose in it."""

    number: str  # seed/host/question
    case: dict[str, Any]
    real: Any
    predicted: Any

    def __str__(self) -> str:
        return f"{self.number}: {json.dumps(self.case)}\n  real      {self.real}\n  predicted {self.predicted}"


def differences(seed: int, cases: int, first: int = 0) -> list[Difference]:
    """Of the first `cases` of a seed, from host `first` on, on all processors. RuntimeError when asking failed."""
    hosts = range(first, first + -(-cases // QUESTIONS))
    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool:
        found = pool.map(lambda start: list(_differences(seed, hosts[start::workers])), range(workers))
        return [one for some in found for one in some]


def _differences(seed: int, hosts: range) -> Iterator[Difference]:
    asked = {number: drawn(seed, number) for number in hosts}
    given = "".join(f"{json.dumps(cases)}\n" for cases in asked.values())
    argv = [*ALONE, sys.executable, "-I", str(ASK)]
    done = subprocess.run(argv, input=given, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    if done.returncode or len(lines) != len(asked):
        raise RuntimeError(f"asking failed: {done.stderr[-2000:]}")
    for (number, cases), line in zip(asked.items(), lines, strict=True):
        answers = json.loads(line)
        if isinstance(answers, dict):
            raise RuntimeError(f"host {seed}/{number} can not be made: {answers['error']}")
        for i, (case, answer) in enumerate(zip(cases, answers, strict=True)):
            yield from compared(f"{seed}/{number}/{i}", case, answer)


def compared(number: str, data: dict[str, Any], answer: dict[str, Any]) -> Iterator[Difference]:
    """answer: as ask.py gives it."""
    if "error" in answer:
        raise RuntimeError(f"{number} can not be asked: {answer['error']}")
    case = from_json(json.dumps(data))
    assert isinstance(case, Case)
    real = [str(ip_address(dest)) for dest in answer["order"]]
    predicted = [str(dest) for dest in by_glibc(case)]
    if real != predicted:
        yield Difference(number, data, real, predicted)
    kernel = Kernel(case.host)
    sources = {dest: source and str(ip_address(source)) for dest, source in answer["sources"].items()}
    chosen = {dest: _text(kernel, dest) for dest in sources}
    if sources != chosen:
        yield Difference(f"{number}, sources", data, sources, chosen)


def _text(kernel: Kernel, dest: str) -> str | None:
    source = kernel.source(ip_address(dest))
    return None if source is None else str(source)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make fuzz-select")
    parser.add_argument("--cases", type=int, default=10_000, help=f"{QUESTIONS} of them to each host")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--host", type=int, default=0, help="begin with this one: the second number of a difference")
    wish = parser.parse_args()
    start = time.monotonic()
    print(f"seed {wish.seed}", flush=True)
    found = differences(wish.seed, wish.cases, wish.host)
    for one in found[:SHOWN]:
        print(one)
    print(f"{wish.cases} cases in {time.monotonic() - start:.0f} s, {len(found)} differences")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
