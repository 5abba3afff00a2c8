"""The log of a bug: the traceback goes into a file, never in front of the person."""

from __future__ import annotations

import os
import platform
import tempfile
import time
import traceback
from pathlib import Path

from guestnet import __version__

FOLDERS = (Path("/var/log/guestnet"), Path(tempfile.gettempdir()))  # the first that can be written to


def write_log() -> str:
    """Writes the exception being handled, and returns the path of the file (or the text, when no file can be made)."""
    text = f"guestnet {__version__}, Python {platform.python_version()}, {time.ctime()}\n{traceback.format_exc()}"
    for folder in FOLDERS:
        try:
            folder.mkdir(mode=0o750, exist_ok=True)
            descriptor, path = tempfile.mkstemp(prefix="guestnet-bug-", suffix=".log", dir=folder)
            with os.fdopen(descriptor, "w") as out:
                out.write(text)
        except OSError:
            continue
        return path
    return text
