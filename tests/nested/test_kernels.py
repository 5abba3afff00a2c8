"""The firewall table on the kernels of the releases that are supported, not on the one that happens to run here."""

from __future__ import annotations

from pathlib import Path

import pytest

from guestnet.compile import nft, ruleset
from guestnet.spec.memory import Memory
from lab.kernel import Release
from lab.nested import Nested
from tests.compile.test_golden import GOLDEN, made

pytestmark = pytest.mark.lab


@pytest.mark.parametrize("kernel", ["bookworm", "trixie"])
def test_the_kernel_takes_the_table_and_every_kind_of_element(kernel: Release, repo: Path) -> None:
    """6.1 takes no map as the set of a match; 6.12 no `meta l4proto` before intervals (nft 1.0.6 turns it round)."""
    table = (repo / "tests/golden/040-forwards/firewall.nft").read_text()
    worlds = [made(GOLDEN / case, Memory())[0] for case in ("040-forwards", "070-routed")]
    parts = [ruleset.elements(guest.forwards) for world in worlds for guest in world.guests]
    assert {name.rstrip("46") for part in parts for name in part} >= {"any", "any_from", "any_range", "open", "whole"}
    with Nested(kernel=kernel, libvirtd=False) as machine:
        machine.run(["nft", "-f", "/dev/stdin"], input=table)
        for part in parts:
            machine.run(["nft", "-f", "/dev/stdin"], input=nft.add_elements(part))
        assert "tcp . 4023" in machine.run(["nft", "list", "map", "inet", "guestnet", "any4"]).stdout
