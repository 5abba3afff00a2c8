"""A first file of guestnet from the hooks.json of another hook. Pure: text in, text out.

What it must not do: guess without saying so, or leave something out without saying so.
"""

from __future__ import annotations

from dataclasses import dataclass

from guestnet.spec.hooksjson.entries import entries
from guestnet.spec.hooksjson.fields import Said
from guestnet.spec.hooksjson.forwards import Placed, forwards
from guestnet.spec.hooksjson.networks import networks, places
from guestnet.spec.hooksjson.reader import NOTHING, read
from guestnet.spec.hooksjson.text import yaml_text
from guestnet.spec.load import load_spec
from guestnet.words.problems import GuestnetError, Place, Problem, ProblemsError


@dataclass(frozen=True)
class Converted:
    """YAML that passes `check`, and what was not carried over, or not as it was."""

    text: str
    notes: tuple[Problem, ...]


def convert(source: bytes | str, file: str) -> Converted:
    """`file` is the name that places carry. Raises ProblemsError with every problem, or GuestnetError; nothing else."""
    name = "".join(char if char.isprintable() else "?" for char in file)
    document = read(source, name)
    said = Said()
    said.problems.extend(document.problems)
    listed = entries(document, said)
    made = networks(listed, said)
    where = places(made)
    wants = [want for entry in listed for want in entry.wants]
    found = forwards(
        [Placed(want, where[want.guest, want.address]) for want in wants if (want.guest, want.address) in where], said
    )
    if not listed and not said.problems:
        said.wrong(document.root.place, "no guest is in the file", "is it the hook's hooks.json?")
    if said.problems:
        raise ProblemsError(_sorted(said.problems), NOTHING)
    notes = _sorted(said.notes)
    text = yaml_text(name, made, found, notes)
    _checked(text, name)
    return Converted(text, tuple(notes))


def _sorted(problems: list[Problem]) -> list[Problem]:
    """Each once, by place; all of them have one."""
    return sorted(dict.fromkeys(problems), key=lambda one: (one.place or Place("", 0, 0), one.what))


def _checked(text: str, file: str) -> None:
    """What leaves here passes `check`: a file too large for it, say, does not leave."""
    try:
        load_spec(text, f"the file made from {file}")
    except ProblemsError as error:
        first = error.problems[0]
        raise GuestnetError(f"what came of {file} does not pass check: {first.what}", first.todo) from None
