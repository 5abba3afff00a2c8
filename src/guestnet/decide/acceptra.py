"""What of the host's own IPv6 an apply could cost it, or have libvirt refuse. Mended by the order of the settings
(`desired.settings`); told here where it cannot be. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from guestnet.decide.facts import Facts
from guestnet.decide.routers import FORWARDING
from guestnet.decide.state import Change, Setting
from guestnet.words.problems import Problem


def problems(facts: Facts, changes: tuple[Change, ...], starting: Iterable[str]) -> Iterator[Problem]:
    """starting: networks with IPv6 that libvirt starts and that the host forwards for."""
    locked = [change for change in changes if change.key.kind == "setting" and change.key.name in facts.locked]
    for change in locked:
        wanted = change.after.value if isinstance(change.after, Setting) else ""
        what = f"sysctl {change.key.name} can't be set to {wanted}: /proc/sys is mounted read-only here"
        yield Problem(f"{what}{_why(change)}", "set it from outside of this container, or mount it read-write")
    on = any(change.key.name == FORWARDING[1] and change.after == Setting("1") for change in changes)
    if not on and not list(starting):
        return
    for nic in facts.learned:
        what = (
            f"{nic} has IPv6 routes that the kernel made of router advertisements before its accept_ra became 0: "
            "libvirt refuses to start a network with IPv6, and forwarding would take the host its default route"
        )
        todo = (
            f"sysctl net/ipv6/conf/{nic}/accept_ra=2, at least until they have expired, see: ip -6 route show dev {nic}"
        )
        yield Problem(what, todo)


def _why(change: Change) -> str:
    if change.key.name.endswith("/accept_ra"):
        return ", and without that the host loses its own IPv6 when forwarding goes on"
    return ""


def flushed(nic: str, value: str) -> tuple[str, str]:
    """What is wrong, and what to do, when forwarding is not turned on because accept_ra is not 2 after all."""
    what = f"forwarding of IPv6 is not turned on: accept_ra of {nic} is {value}, and the host would lose its own IPv6"
    todo = (
        "somebody sets it back, such as systemd-networkd, NetworkManager or a script: have it set to 2 there, or let "
        "that program handle router advertisements itself"
    )
    return what, todo
