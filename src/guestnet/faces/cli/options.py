"""The global options, as a verb finds them in `context.obj`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import typer

DEFAULT_FILE = "/etc/guestnet/guestnet.yaml"


# For verbs that have no --confirm; without a terminal they refuse what puts the session at stake.
Never = Annotated[bool, typer.Option("--no-confirm", help="Though the SSH session you are in is at stake.")]


class Format(StrEnum):
    table = "table"
    json = "json"


@dataclass(frozen=True)
class Options:
    file: str
    uri: str | None
    format: Format
