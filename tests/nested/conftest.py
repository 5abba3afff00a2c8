"""The nested machine that the tests of a module share, and the network in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab.nested import NIC, Nested

FILE = "/etc/guestnet/guestnet.yaml"
POOL = f"networks: {{pool: {{mode: passthrough, pf: {NIC}}}}}\n"


def apply(machine: Nested, text: str) -> str:
    machine.write(FILE, text)
    return machine.guestnet("apply", "--yes").stdout


@pytest.fixture(scope="module")
def machine() -> Iterator[Nested]:
    """Booted, with libvirtd; its NIC is up and has 3 virtual functions."""
    with Nested() as booted:
        booted.make_vfs(3)
        yield booted


@pytest.fixture(scope="module")
def network(machine: Nested) -> Iterator[str]:
    """The name of a network that hands out the NIC's virtual functions, applied by guestnet."""
    said = apply(machine, POOL)
    assert f"each guest one virtual function of {NIC}; addresses from the LAN" in said
    yield "pool"
    apply(machine, "networks: {}\n")
    assert machine.virsh("-q", "net-list", "--all", "--name").stdout.split() == []
