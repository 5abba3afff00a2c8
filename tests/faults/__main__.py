"""`make faults`: apply killed at each of its effects in turn, and each of them failed in every way; rollback killed at
each of its own. ARGS='--every 10' tries every tenth only."""

from __future__ import annotations

import argparse
import time

from lab import Lab
from tests.faults.cycles import Cycles


def main() -> None:
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only every Nth effect")
    every = parser.parse_args().every
    begun = time.monotonic()
    with Lab(name="faults") as lab:
        cycles = Cycles(lab)
        cycles.begin()
        print(f"one change has {len(cycles.effects)} effects", flush=True)
        for then in ("rollback", "apply"):
            at = 1
            while cycles.killed(at, then=then):
                at += every
            print(f"killed, then {then}: {sum(cycles.tried.values())} points so far", flush=True)
        for at, do, lasting in cycles.faults():
            if at % every == 0:
                cycles.failed(at, do, lasting=lasting)
        for then in ("rollback", "apply"):
            at = 1
            while cycles.way_back_killed(at, then=then):
                at += every
    print(
        f"{sum(cycles.tried.values())} points tried in {time.monotonic() - begun:.0f} s; each ended in exactly the old "
    )
    print("state or exactly the new one, and the guest kept its addresses:")
    for what, count in cycles.tried.items():
        print(f"  {count:5}  {what}")


if __name__ == "__main__":
    main()
