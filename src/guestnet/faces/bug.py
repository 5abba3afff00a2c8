"""The log of a bug: the traceback goes into a file, never in front of the person."""

from __future__ import annotations

import os
import platform
import tempfile
import time
import traceback
from pathlib import Path
from secrets import token_hex

from guestnet import __version__
from guestnet.host import logs

FOLDER = Path("/var/log/guestnet")


def write_log() -> str:
    """Writes the exception being handled, and returns the path of the file (or the text, when no file can be made)."""
    text = f"guestnet {__version__}, Python {platform.python_version()}, {time.ctime()}\n{traceback.format_exc()}"
    path = FOLDER / f"guestnet-bug-{token_hex(4)}.log"
    try:
        _fill(logs.new(path), text)
    except OSError:
        # As of who is not root. A name that nobody can know, made anew, and for its owner's eyes only.
        try:
            descriptor, made = tempfile.mkstemp(prefix="guestnet-bug-", suffix=".log")
            _fill(descriptor, text)
        except OSError:
            return text
        return made
    return str(path)


def _fill(descriptor: int, text: str) -> None:
    with os.fdopen(descriptor, "w") as out:
        out.write(text)
