"""What is said beside the data, on stderr: there may be nobody to say it to, and nothing depends on that."""

from __future__ import annotations

import contextlib
import sys


def say(text: str) -> None:
    """A line or more. A terminal that has gone, a full disk or a closed stderr takes nothing away but the words."""
    with contextlib.suppress(OSError, ValueError):
        print(text, file=sys.stderr, flush=True)
