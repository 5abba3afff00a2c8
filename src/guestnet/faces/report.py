"""A plan as text for people and as JSON for programs."""

from __future__ import annotations

import contextlib
import select
import sys
import textwrap
from typing import TYPE_CHECKING, Any, TextIO

from guestnet.decide import flips
from guestnet.decide.atstake import at_stake, warnings
from guestnet.decide.describe import describe, header, impact, notes, step
from guestnet.decide.flips import Flip
from guestnet.decide.plan import Plan, cut_off, outage
from guestnet.decide.state import Change

if TYPE_CHECKING:
    from rich.console import Console

AS_WRITTEN = "the host is as the file says"
CUT_OFF = "but an apply was cut off"  # beside that
_LOOKS = {"+": "green", "-": "red", "~": "yellow"}
_IMPACT_COLUMN = 64
_WIDTH = 100
_patience = [0.2]  # seconds that a line waits for its reader; none after the first that waited in vain
_FLIPS = 24  # lines: a first file of six networks would fill the screen
_UNKNOWN = "what the file said before is not known, so neither is which cells change"


def print_plan(
    plan: Plan, *, pending: bool, nothing: str = f"Nothing to do: {AS_WRITTEN}.", out: TextIO | None = None
) -> None:
    """On `out`, or stdout; with `pending`, the last line says how to apply. `nothing`: that line, without changes."""
    from rich.console import Console  # noqa: PLC0415  only verbs that print a plan wait for its import

    console = Console(file=out, highlight=False, soft_wrap=True, markup=False)
    console.print(header(plan.facts), style="bold")
    for item in describe(plan):
        console.print()
        console.print(f"{item.title:<{_IMPACT_COLUMN + 4}} {item.state}".rstrip(), style="bold")
        for line, note in item.lines:
            console.print(f"  {line:<{_IMPACT_COLUMN}}  {note}".rstrip(), style=_LOOKS.get(line[0], ""))
    _print_flips(plan, console)
    for note in notes(plan):
        said, *commands = note.split("\n")  # to paste, so each in one line
        filled = textwrap.fill(f"note: {said}", _WIDTH, subsequent_indent="      ", break_on_hyphens=False)
        console.print("\n" + "\n".join([filled, *(f"      {command}" for command in commands)]))
    for line in warnings(plan):
        console.print(f"\nwarning: {line}", style="yellow")
    for problem in plan.problems:
        console.print(f"\nproblem: {problem}", style="red")
    console.print()
    if plan.problems:
        many = f"{len(plan.problems)} problem{'s' if len(plan.problems) != 1 else ''}"
        console.print(f"{many} to mend before anything can be applied.")
    elif plan.changes:
        hint = "  Apply with: guestnet apply" if pending else ""
        console.print(f"{impact(plan)}{hint}        (plan {plan.digest})")
    else:
        console.print(nothing)


def _print_flips(plan: Plan, console: Console) -> None:
    """Who will reach whom, and will not."""
    if plan.flips is None:
        console.print(f"\n{_UNKNOWN}")
        return
    lines = flips.lines(plan.flips)
    if lines:
        console.print("\nwho can reach whom will change:", style="bold")
        for line in lines[:_FLIPS]:
            console.print(f"  {line}")
    if len(lines) > _FLIPS:
        console.print(f"  and {len(lines) - _FLIPS} more: guestnet plan --format json")


def plan_data(plan: Plan) -> dict[str, Any]:
    """The stable shape of `plan --format json`: changes in the order they would be done, each with whom it cuts off
    and for how long."""
    return {
        "digest": plan.digest,
        "changes": [
            {
                "kind": change.key.kind,
                "name": change.key.name,
                "action": "add" if change.before is None else "remove" if change.after is None else "change",
                "summary": step(change),
                "cuts_off": list(cut_off(change, plan.facts)),
                "outage": outage(change, plan.facts),
            }
            for change in plan.changes
        ],
        "flips": None if plan.flips is None else [_flip_data(flip) for flip in plan.flips],
        "problems": [problem.data() for problem in plan.problems],
        "notices": list(plan.notices),
        "session_at_stake": list(at_stake(plan)),
        "warnings": list(warnings(plan)),
    }


def _flip_data(flip: Flip) -> dict[str, str]:
    """See docs/reach.md."""
    return {
        "from": flip.source,
        "to": flip.target,
        "family": f"ipv{flip.family}",
        "before": flip.before,
        "after": flip.after,
    }


def progress(word: str, change: Change | None, seconds: float) -> None:
    """One line a step, on stderr. A reader or terminal that has gone must not stop an apply, or worse, its undoing; nor
    one that takes nothing any more, as that of an SSH session which the apply has cut off."""
    words = {"undoing": "undoing what was done", "undone": "The host is as it was before."}
    line = words.get(word, word) if change is None else f" {word}  {step(change):<64} {seconds:5.1f} s"
    with contextlib.suppress(OSError, ValueError):
        if select.select([], [sys.stderr], [], _patience[0])[1]:
            print(line, file=sys.stderr, flush=True)
        else:
            _patience[0] = 0
