"""`python -m bench [--json] [--quick] [--peer NAME=DIR] [--results DIR] [TABLE...]`: measures, prints tables. As root.

The exit code does not say whether goals are met: times depend on the machine. It is 1 when something did not work.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

from bench import results
from bench.inside import WrongError
from bench.table import Effort
from bench.tables import TABLES
from lab import LabError, machine, process

QUICK = Effort(
    sizes=(1, 100), others=(0, 1000), rounds=4, blocks=1, turns=10, forwards=100, guests=5, runs=1, applies=6
)


def main() -> int:
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))  # so that the lab is taken down
    options = arguments()
    if os.geteuid() != 0:
        print("the bench makes network namespaces: run it as root", file=sys.stderr)
        return 1
    before = machine.snapshot()
    began = time.monotonic()
    try:
        effort = replace(QUICK if options.quick else Effort(), peers=options.peers)
        tables = [TABLES[name](effort) for name in options.tables or TABLES]
    except KeyboardInterrupt:
        print("\ninterrupted; the lab is gone", file=sys.stderr)
        return 130
    except (LabError, WrongError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    where = this_machine() | {"seconds": round(time.monotonic() - began)}
    if options.json:
        print(json.dumps({"machine": where, "tables": [table.data() for table in tables]}, indent=2))
    else:
        print("\n".join(f"{name}: {value}" for name, value in where.items()))
        for table in tables:
            print(f"\n{table.text()}", end="")
    if options.results:
        results.write(options.results, where, tables)
    changes = machine.differences(before, machine.snapshot())
    for changed in changes:
        print(f"the machine's own network was changed: {changed}", file=sys.stderr)
    return 1 if changes else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description="What guestnet costs, measured in a throw-away lab.")
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=f"of {', '.join(TABLES)}; all by default")
    parser.add_argument("--json", action="store_true", help="data instead of text")
    parser.add_argument("--quick", action="store_true", help="little of everything, to see whether it works")
    parser.add_argument(
        "--peer", action="append", default=[], metavar="NAME=DIR", help="a checkout of another hook (bench/README.md)"
    )
    parser.add_argument("--results", metavar="DIR", type=Path, help="write the tables and a plot there")
    options = parser.parse_args()
    options.peers = tuple((name, Path(folder)) for name, _, folder in (peer.partition("=") for peer in options.peer))
    for name, folder in options.peers:
        if not (folder / "hooks").is_file():
            parser.error(f"--peer {name}: there is no {folder}/hooks")
    for name in options.tables:
        if name not in TABLES:
            parser.error(f"there is no table {name}; there are: {', '.join(TABLES)}")
    return options


def this_machine() -> dict[str, str | int | float]:
    """What one must know to compare."""
    versions = {name: process.run(argv).stdout.strip() for name, argv in PROGRAMS.items()}
    return {
        "cores": os.cpu_count() or 0,
        "load": os.getloadavg()[0],
        "kernel": platform.release(),
        "processor": processor(),
        **versions,
    }


PROGRAMS = {"nft": ["nft", "--version"], "iptables": ["iptables", "-V"], "python": ["/usr/bin/python3", "-V"]}


def processor() -> str:
    with open("/proc/cpuinfo") as source:  # noqa: PTH123  a file of the kernel, read once
        lines = [line.partition(":") for line in source]
    return next((value.strip() for name, _, value in lines if name.strip() == "model name"), platform.machine())


if __name__ == "__main__":
    sys.exit(main())
