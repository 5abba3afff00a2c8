"""`make faults`: apply, and whatever else changes a host, killed at each of its effects in turn, and each of them
failed in every way; rollback killed at each of its own. ARGS='--every 10' tries every tenth only of each kind of fault,
'--only SCENARIO' one of the changes (can be said several times), '--jobs 2' two of them at a time."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from tests.faults.scenarios import SCENARIOS
from tests.faults.together import Wanted, side_by_side


def main() -> None:
    names = [one.name for one in SCENARIOS]
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only every Nth point of each kind")
    parser.add_argument("--behind", type=int, default=0, metavar="M", help="of those, the ones M behind: others")
    parser.add_argument("--only", action="append", metavar="SCENARIO", choices=names, help=", ".join(names))
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="scenarios side by side")
    asked = parser.parse_args()
    begun = time.monotonic()
    tried: Counter[str] = Counter()
    failed = 0
    for told in side_by_side(asked.only or names, Wanted(asked.every, asked.behind), asked.jobs):
        print("\n".join(told.lines()), flush=True)
        tried += told.tried
        failed += len(told.failed)
    print(
        f"{sum(tried.values())} points tried in {time.monotonic() - begun:.0f} s, {failed} failed. After each other one"
    )
    print("the host was exactly the old or exactly the new, guests' NICs and reservations included:")
    for what, count in sorted(tried.items()):
        print(f"  {count:5}  {what}")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
