"""Rules follow the kinds of forwards, not their number; and none asks what this file's world does not have."""

from __future__ import annotations

import re

import pytest

from guestnet.compile import ruleset
from guestnet.spec import load
from tests.worlds import drawn

FILE = """
networks:
  lab: {{mode: nat, bridge: vlab, ipv4: 10.84.0.1/24, ipv6: "fd84::1/64"}}
guests:
  one: {{network: lab, forwards: [{forwards}]}}
"""


def table(forwards: str) -> str:
    spec = load.load_spec(FILE.format(forwards=forwards), "test.yaml")
    return ruleset.table(drawn(spec, 7))


def rules(text: str) -> str:
    return text[text.index("\tchain ") :]


def test_without_forwards_nothing_is_translated() -> None:
    assert "nat hook" not in table("")
    assert "ct mark" not in table("")


def test_their_number_changes_no_rule() -> None:
    assert table("4000:22") == table("4000:22, 5000-5100:6000-6100")


@pytest.mark.parametrize(
    ("forward", "asked"),
    [
        ("4000:22", {"any4", "any6"}),
        ("203.0.113.2:4000:22", {"on4"}),
        ("up0:4000:22", {"nic4", "nic6"}),
        ("9000-9999", {"any_range4", "any_range6"}),
        ("{ports: 4000, from: 198.51.100.0/24}", {"any_from4"}),
        ("{ports: 4000, loopback: true}", {"any4", "any6", "loop4"}),
        ("203.0.113.7/all", {"whole4", "source4"}),
    ],
)
def test_a_kind_of_forward_is_asked_for_once_there_is_one(forward: str, asked: set[str]) -> None:
    found = set(re.findall(r"@(\w+)", rules(table(forward))))
    # `any` is there where anything is: `reach --probe` makes a forward of its own there.
    asked |= {f"any{name[-1]}" for name in asked}
    assert found & ruleset.MAPS.keys() == asked
    assert ("martians" in table(forward)) is ("loop4" in asked)


def test_an_uplink_that_nobody_knows_is_in_no_rule() -> None:
    """As in a text that is made without a host, or on a host that cannot have it: nft takes no empty name."""
    text = "networks: {hidden: {mode: nat, bridge: vh, ipv4: none, ipv6: {prefix: translate}UPLINK}}\n"

    def made(uplink: str) -> set[str]:
        spec = load.load_spec(text.replace("UPLINK", uplink), "test.yaml")
        world = drawn(spec, 7)
        return set(rules(ruleset.table(world)).splitlines())

    named = {line for line in made(", uplink: up0") if '"up0"' in line}
    assert len(named) == 1
    assert made("") == made(", uplink: up0") - named
