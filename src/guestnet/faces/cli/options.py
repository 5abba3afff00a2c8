"""The global options, as a verb finds them in `context.obj`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

DEFAULT_FILE = "/etc/guestnet/guestnet.yaml"


class Format(StrEnum):
    table = "table"
    json = "json"


@dataclass(frozen=True)
class Options:
    file: str
    uri: str | None
    format: Format
