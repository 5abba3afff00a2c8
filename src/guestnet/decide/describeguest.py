"""What a plan says of a guest: its forwards and reservation, one line a change. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from guestnet.compile import dhcp, hookdata, ndp
from guestnet.decide.forwardtext import forward_lines
from guestnet.decide.plan import Plan
from guestnet.decide.state import Change, File
from guestnet.spec import world


def forward_changes(change: Change, desired: world.World) -> list[str]:
    """Of a guest's hook data, or of where it was met: a line a forward that comes, goes or moves."""
    if change.key.name.startswith(f"{hookdata.NOW}/"):
        return _followed_changes(change)
    before, after = (_file_elements(side) for side in (change.before, change.after))
    gone, come = forward_lines(before - after), forward_lines(after - before)
    lines = _outside_changes(change, desired)
    if gone == come:
        return lines + [f"~ forward {line}, to its new address" for line in come]
    return lines + [f"- forward {line}" for line in gone] + [f"+ forward {line}" for line in come]


def _followed_changes(change: Change) -> list[str]:
    """Its own forwards are in another file, also when they change."""
    before, after = (
        hookdata.followed(side.text) if isinstance(side, File) else {} for side in (change.before, change.after)
    )
    lines = []
    for network in sorted({*before, *after}):
        old, new = ({one.version: one for one in its.get(network, ())} for its in (before, after))
        for family in sorted({*old, *new}):
            was, has = old.get(family), new.get(family)
            if has and has != was:
                lines.append(f"~ its forwards go to {has}, which it has{f' (not {was})' if was else ''}")
            elif not has:
                lines.append(f"~ its forwards go to {was} no more, but to the address that it is to have")
    return lines


def _outside_changes(change: Change, desired: world.World) -> list[str]:
    """Addresses that it is known by outside. Of what is translated the file has one half."""
    its = [nic for guest in desired.guests for nic in guest.nics]
    whole = {
        f"{ndp.part(one)} on {nic.outside.nic}": f"{one} on {nic.outside.nic}"
        for nic in its
        if nic.outside and (one := nic.global6)
    }
    before, after = (
        hookdata.outside(one.text) if isinstance(one, File) else [] for one in (change.before, change.after)
    )
    gone = [f"- known outside as {line} (NDP proxy)" for line in before if line not in after]
    return gone + [f"+ known outside as {whole.get(line, line)} (NDP proxy)" for line in after if line not in before]


def _file_elements(side: object) -> set[tuple[str, str]]:
    return element_pairs(hookdata.elements(side.text).items()) if isinstance(side, File) else set()


def element_pairs(found: Iterable[tuple[str, tuple[str, ...]]]) -> set[tuple[str, str]]:
    """(map, element) of each."""
    return {(name, item) for name, items in found for item in items}


def reservation(change: Change) -> str:
    """`+ reservation MAC ADDRESSES`; of a change, from what to what."""
    before, after = (_reserved(side) for side in (change.before, change.after))
    if before and after and before[0] == after[0]:
        return f"~ reservation {before[0]}  {before[1]} -> {after[1]}"
    if before and after:
        return f"~ reservation {' '.join(before)} -> {' '.join(after)}"
    return f"+ reservation {'  '.join(after)}" if after else f"- reservation {'  '.join(before or ())}"


def _reserved(side: object) -> tuple[str, str] | None:
    if not isinstance(side, File):
        return None
    mac, *rest = side.text.strip().split(",")
    return mac, " ".join(part.strip("[]") for part in rest if "." in part or ":" in part)


def guest_titles(plan: Plan) -> dict[str, str]:
    """By the name of their files. A guest that is not in the file any more is called after them."""
    running = {domain.name: domain.running for domain in plan.facts.domains}
    words = {None: "not defined yet", True: "running", False: "off"}
    names = [guest.name for guest in plan.world.guests]
    gone = {name: f"guest {name} ({words[value]})" for name, value in running.items()}
    return gone | {dhcp.file_name(name): f"guest {name} ({words[running.get(name)]})" for name in reversed(names)}


def guest_title(path: str, titles: Mapping[str, str]) -> str:
    """path: of one of a guest's files."""
    file = path.rsplit("/", 1)[-1]
    return titles.get(file, f"guest {file} (not defined yet)")
