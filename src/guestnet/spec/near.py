"""The name somebody may have meant."""

from __future__ import annotations

from collections.abc import Sequence

_MOST = 8  # names that are listed when none is near


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """What to do about a name nobody knows: the nearest known one, else those there are."""
    from difflib import get_close_matches  # noqa: PLC0415 - 5 ms of start-up, needed only when something is wrong

    near = get_close_matches(word.lower(), [name.lower() for name in known], n=1, cutoff=0.6)
    for name in known:
        if name.lower() in near:
            return f'did you mean "{name}"?'
    if not known:
        return "none is defined"
    return f"known: {', '.join(known)}" if len(known) <= _MOST else f"known: {', '.join(known[:_MOST])}, ..."
