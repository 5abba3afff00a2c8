"""The cells of the matrix that a change of the file flips."""

from __future__ import annotations

import json
import random

import pytest

from guestnet.decide.facts import Facts, Uplink
from guestnet.decide.flips import Flip, flips, lines
from guestnet.spec.load import load_spec, spec_of
from guestnet.spec.memory import Memory
from guestnet.spec.resolve import Taken, resolve
from guestnet.spec.show import applied
from guestnet.spec.world import World

FACTS = Facts(hostname="kvm1", libvirt="9.0.0", uplinks=(Uplink("up0", (4, 6), kernel_ra=False),))
LAB = "lab: {mode: nat, bridge: virbr1, mac: '52:54:00:00:00:01', ipv4: 10.66.1.1/24, ipv6: 'fd00:66:1::1/64'}"
DMZ = "dmz: {mode: routed, bridge: virbr2, mac: '52:54:00:00:00:02', ipv4: 10.66.2.1/24, ipv6: none}"


def world(networks: list[str], guests: str = "") -> World:
    text = "networks:\n" + "".join(f"  {line}\n" for line in networks) + (f"guests:\n  {guests}\n" if guests else "")
    spec = load_spec(text if networks else "networks: {}\n", "x.yaml")
    return resolve(spec, Memory(), random=random.Random(7), taken=Taken(), macs={})[0]  # noqa: S311  not a secret


def said(before: World, after: World) -> dict[tuple[str, str, int], tuple[str, str]]:
    return {(flip.source, flip.target, flip.family): (flip.before, flip.after) for flip in flips(before, after, FACTS)}


def test_nothing_changes_nothing() -> None:
    assert said(world([LAB, DMZ]), world([LAB, DMZ])) == {}


def test_a_new_network_opens_what_it_opens_and_is_silent_on_what_stays_shut() -> None:
    found = said(world([]), world([LAB]))
    assert found["lab", "internet", 4] == ("-", "yes")
    assert found["lab", "internet", 6] == ("-", "yes")
    assert ("internet", "lab", 4) not in found, "closed before, closed now"
    assert said(world([LAB]), world([])) == {key: (new, old) for key, (old, new) in found.items()}


def test_an_isolated_network_that_becomes_nat() -> None:
    found = said(world([LAB.replace("nat", "isolated")]), world([LAB]))
    assert found["lab", "internet", 4] == ("no", "yes")
    assert found["host", "lab", 6] == ("no", "yes")
    assert ("lab", "lab", 4) not in found


def test_each_forward_is_told_though_the_cell_was_open_by_another() -> None:
    one = "web1: {network: lab, ipv4: 10.66.1.10, ipv6: '::10', forwards: ['4023:22']}"
    two = one.replace("['4023:22']", "['4023:22', {ports: 4080, family: ipv4}]")
    assert said(world([LAB], one), world([LAB], two)) == {("internet", "web1 4080/tcp", 4): ("no", "yes")} | {}
    first = said(world([LAB], one.replace(", forwards: ['4023:22']", "")), world([LAB], one))
    assert first["internet", "lab", 4] == ("no", "forwards")
    assert first["internet", "web1 4023/tcp", 6] == ("no", "yes")


def test_a_second_network_flips_the_way_between_them() -> None:
    found = said(world([LAB]), world([LAB, DMZ]))
    assert found["lab", "dmz", 4] == ("-", "yes")
    assert ("dmz", "lab", 4) not in found


def test_lines_hold_both_families() -> None:
    shown = lines([Flip("lab", "internet", 4, "-", "yes"), Flip("lab", "internet", 6, "no", "yes"),
                   Flip("internet", "web1 80/tcp", 6, "no", "yes")])  # fmt: skip
    assert shown == [
        "lab -> internet           v4 - -> yes            v6 no -> yes",
        "internet -> web1 80/tcp                          v6 no -> yes",
    ]


@pytest.mark.parametrize("case", ["040-forwards", "070-routed", "080-knobs", "090-lan", "060-isolated"])
def test_what_was_applied_is_read_back_to_the_same_world(case: str) -> None:
    from tests.compile.test_golden import GOLDEN, made  # noqa: PLC0415

    spec = load_spec((GOLDEN / case / "spec.yaml").read_bytes(), "spec.yaml")
    wanted, memory = made(GOLDEN / case, Memory())
    text = applied(spec, wanted)
    again = spec_of(text)
    assert again is not None
    same, _ = resolve(again, Memory(), random=random.Random(9), taken=Taken(), macs={})  # noqa: S311
    assert flips(wanted, same, FACTS) == ()
    assert [network.name for network in same.networks] == [network.name for network in wanted.networks]
    assert applied(again, same) == text
    assert memory is not None


@pytest.mark.parametrize("text", ["", "[]", "{", '{"networks": {"a": {"mode": "new"}}}', "[" * 100_000])
def test_what_another_version_wrote_is_nothing(text: str) -> None:
    assert spec_of(text) is None


def test_descriptions_and_switched_off_forwards_are_not_applied() -> None:
    guest = "web1: {network: lab, forwards: [{ports: 80, description: %s}, {ports: 81, enabled: false}]}"
    texts = set()
    for words in ("farm", "house"):
        text = f"networks:\n  {LAB}\nguests:\n  {guest % words}\n"
        spec = load_spec(text, "x.yaml")
        texts.add(applied(spec, resolve(spec, Memory(), random=random.Random(7), taken=Taken(), macs={})[0]))  # noqa: S311
    (only,) = texts
    assert json.loads(only)["guests"]["web1"]["forwards"] == [80]
