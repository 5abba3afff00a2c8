"""The global options, as a verb finds them in `context.obj`."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated

import typer

from guestnet.faces.cli.document import Document

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
    document: Document = field(default_factory=Document)


def text_only(options: Options, what: str) -> None:
    """Of verbs whose output is a document in another language. Raises wrong usage when JSON is asked for."""
    if options.format is Format.json:
        raise typer.BadParameter(f"--format json: {what}; leave it out")
