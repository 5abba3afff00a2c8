"""Whole addresses of guests, and whether the host has them, or any other that a forward listens on. Pure."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

from guestnet.decide.facts import Facts
from guestnet.spec.world import Forward, World
from guestnet.words.ports import WHOLE


def has(listen: IPv4Address | IPv6Address | str, world: World, facts: Facts) -> bool:
    """Also when apply brings it, or a route delivers it to the host (as clouds do for their load balancers)."""
    if isinstance(listen, str):
        return listen in facts.links or any(network.bridge == listen for network in world.networks)
    sides = [side.host.ip for network in world.networks for side in network.sides]
    return (
        listen in sides
        or any(listen == own.ip for _, own in facts.addresses)
        or any(route.kind == "local" and listen in route.subnet for route in facts.routes)
    )


def outwards(world: World, facts: Facts) -> World:
    """The world as it can be on this host: what a guest opens has its whole address only where the host has that.
    Answers to another would never come back, and the guest had no way out at all."""

    def possible(forward: Forward) -> Forward:
        absent = forward.protocol == WHOLE and forward.listen is not None and not has(forward.listen, world, facts)
        return replace(forward, outwards=False) if absent else forward

    if all(forward.protocol != WHOLE for guest in world.guests for forward in guest.forwards):
        return world
    guests = (replace(guest, forwards=tuple(map(possible, guest.forwards))) for guest in world.guests)
    return replace(world, guests=tuple(guests))
