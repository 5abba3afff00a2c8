"""Text of a guest or another process, which may be anything, made fit for a terminal: one line, not long, no control
characters."""

from __future__ import annotations

_LONG = 300


def shown(text: str | bytes) -> str:
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    words = "".join(char if char.isprintable() else " " for char in text[: 4 * _LONG]).split()
    line = " ".join(words)
    return line if len(line) <= _LONG else f"{line[:_LONG]}..."
