"""`python -m lab.clean`: end and remove what killed test runs left. Labs whose owner lives are left alone.

A process is ended only when it is certainly process 1 of a lab: recorded id and start time match, and its network is
not the one that we are in ourselves.
"""

from __future__ import annotations

import sys
from pathlib import Path

from lab import namespace, state


def clean() -> list[Path]:
    """Remove the directories of labs whose owner is gone, and end what lives of them; returns the directories."""
    removed = []
    for directory in sorted(path for path in state.home().iterdir() if path.is_dir() and not path.is_symlink()):
        record = state.read(directory)
        # No record: its maker died, or is, between making the directory and writing it. Empty ones harm nobody.
        if record is None or record.owner.alive():
            continue
        for tree in record.trees:
            namespace.end(tree)
        state.remove(directory)
        removed.append(directory)
    return removed


if __name__ == "__main__":
    for removed_directory in clean():
        sys.stdout.write(f"removed {removed_directory}\n")
