"""Another machine, as a person names it to ssh."""

from __future__ import annotations

import re

from guestnet.words.problems import WrongError

# A name of ssh's configuration, a host or an address. Nothing that ssh would take for an option, nor a shell for more
# than a word (ssh puts it into the user's ProxyCommand).
_PLACE = re.compile(r"([A-Za-z0-9_][A-Za-z0-9_.-]*@)?[A-Za-z0-9_:][A-Za-z0-9_.:%-]*", re.ASCII)
_SSH = "ssh:"


def parse_remote(text: str) -> str:
    """`ssh:HOST` or `ssh:USER@HOST` as ssh takes it, without the `ssh:`. Raises WrongError."""
    place = text.removeprefix(_SSH)
    if not text.startswith(_SSH) or not _PLACE.fullmatch(place):
        raise WrongError(f'"{text}" names no machine to ask from', "write ssh:HOST or ssh:USER@HOST")
    return place
