"""The cells of the matrix that a change of the file flips."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from guestnet.decide.facts import Facts, Uplink
from guestnet.decide.flips import Flip, flips, lines
from guestnet.decide.plan import make_plan
from guestnet.faces.report import plan_data, print_plan
from guestnet.spec.load import load_spec, spec_of
from guestnet.spec.memory import Memory
from guestnet.spec.show import applied
from guestnet.spec.world import Forward, World
from guestnet.words.ports import PortRange
from tests.compile.test_golden import GOLDEN, made
from tests.worlds import drawn

FACTS = Facts(hostname="kvm1", libvirt="9.0.0", uplinks=(Uplink("up0", (4, 6), kernel_ra=False),))
LAB = "lab: {mode: nat, bridge: virbr1, mac: '52:54:00:00:00:01', ipv4: 10.66.1.1/24, ipv6: 'fd00:66:1::1/64'}"
DMZ = "dmz: {mode: routed, bridge: virbr2, mac: '52:54:00:00:00:02', ipv4: 10.66.2.1/24, ipv6: none}"


def world(networks: list[str], guests: str = "") -> World:
    text = "networks:\n" + "".join(f"  {line}\n" for line in networks) + (f"guests:\n  {guests}\n" if guests else "")
    spec = load_spec(text if networks else "networks: {}\n", "x.yaml")
    return drawn(spec, 7)


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


def test_a_forward_lets_nobody_in_by_a_family_without_an_uplink() -> None:
    web = "web1: {network: lab, ipv4: 10.66.1.10, ipv6: '::10', forwards: ['4023:22']}"
    only6 = replace(FACTS, uplinks=(Uplink("up0", (6,), kernel_ra=False),))
    found = {(flip.target, flip.family) for flip in flips(world([LAB]), world([LAB], web), only6)}
    assert found == {("lab", 6), ("web1 4023/tcp", 6)}
    assert ("web1 4023/tcp", 4) in {
        (flip.target, flip.family) for flip in flips(world([LAB]), world([LAB], web), FACTS)
    }


WEB = "web1: {network: lab, ipv4: 10.66.1.10, ipv6: '::10', forwards: [%s]}"


def shown(old: str, new: str) -> list[str]:
    """What is said when web1's forwards become others."""
    found = flips(world([LAB], WEB % old), world([LAB], WEB % new), FACTS)
    return [" ".join(line.split()) for line in lines(found) if "web1" in line]


CHANGES = {
    ("{ports: 4023, to: 22, from: [198.51.100.0/24]}", "4023:22"): [
        "internet -> web1 4023/tcp v4 from 198.51.100.0/24 -> from anybody v6 no -> yes"
    ],
    ("4023:22", "{ports: 4023, to: 22, from: [198.51.100.0/24, '2001:db8::/32']}"): [
        "internet -> web1 4023/tcp v4 from anybody -> from 198.51.100.0/24 v6 from anybody -> from 2001:db8::/32"
    ],
    ("4023:22", "4023:80"): ["internet -> web1 4023/tcp v4 to 22 -> to 80 v6 to 22 -> to 80"],
    ("203.0.113.2:4023:22", "4023:22"): [
        "internet -> web1 4023/tcp v4 no -> yes v6 no -> yes",
        "internet -> web1 203.0.113.2:4023/tcp v4 yes -> no",
    ],
    ("4023:22", "up0:4023:22"): [
        "internet -> web1 4023/tcp v4 yes -> no v6 yes -> no",
        "internet -> web1 up0:4023/tcp v4 no -> yes v6 no -> yes",
    ],
    ("'[2001:db8::5]:443:443'", "'[2001:db8::5]:443:8443'"): [
        "internet -> web1 [2001:db8::5]:443/tcp v6 to 443 -> to 8443"
    ],
    ("{ports: 80, family: ipv4, from: [198.51.100.0/24]}", "{ports: 80, to: 81, family: ipv4}"): [
        "internet -> web1 80/tcp v4 from 198.51.100.0/24 to 80 -> from anybody to 81"
    ],
    ("", "203.0.113.5/all"): ["internet -> web1 203.0.113.5/all v4 no -> yes"],
    ("{ports: 80, from: [10.9.0.0/16]}", ""): ["internet -> web1 80/tcp v4 from 10.9.0.0/16 -> no"],
    ("7000-7999:8000-8999", "7000-7999:9000-9999"): [
        "internet -> web1 7000-7999/tcp v4 to 8000-8999 -> to 9000-9999 v6 to 8000-8999 -> to 9000-9999"
    ],
    ("{ports: 80, description: a}", "{ports: 80, description: b}"): [],
}


@pytest.mark.parametrize("change", CHANGES, ids=" becomes ".join)
def test_who_may_connect_where_and_to_which_port(change: tuple[str, str]) -> None:
    assert shown(*change) == CHANGES[change]


def test_of_many_sources_those_that_differ_are_seen() -> None:
    many = ", ".join(f"10.{number}.0.0/24" for number in range(1, 30, 2))
    old, new = (f"{{ports: 80, from: [{many}{more}]}}" for more in ("", ", 192.0.2.0/24"))
    assert shown(old, new) == [
        "internet -> web1 80/tcp v4 from 10.1.0.0/24, 10.11.0.0/24, 10.13.0.0/24, … "
        "-> from 192.0.2.0/24, 10.1.0.0/24, 10.11.0.0/24, …"
    ]
    (flip,) = flips(world([LAB], WEB % old), world([LAB], WEB % new), FACTS)
    assert flip.after.count(", ") == 15, "only lines are cut"


def test_egress_is_a_line_of_its_own() -> None:
    denies = LAB.replace("ipv4", "egress: {deny: [private, 198.51.100.0/24]}, ipv4")
    before, after = world([LAB]), world([denies])
    found = flips(before, after, FACTS)
    assert [" ".join(line.split()) for line in lines(found)] == [
        "lab -> 10.0.0.0/8, 100.64.0.0/10, 169.254.0.0/16, … (egress) v4 yes -> no",
        "lab -> fc00::/7 (egress) v6 yes -> no",
    ]
    assert "198.51.100.0/24" in found[0].target
    assert [(one.before, one.after) for one in flips(after, before, FACTS)] == [("no", "yes")] * 2
    assert not any("egress" in target for _, target, _ in said(world([]), after)), "it was not there before"


def test_egress_that_gets_smaller_and_that_denies_the_host() -> None:
    wide, small, host = (
        LAB.replace("ipv4", f"egress: {{deny: [{one}]}}, ipv4") for one in ("10.0.0.0/8", "10.9.0.0/16", "host")
    )
    assert said(world([wide]), world([small])) == {("lab", "10.0.0.0/8 (egress)", 4): ("no", "partly")}
    assert said(world([small]), world([wide])) == {("lab", "10.0.0.0/8 (egress)", 4): ("partly", "no")}
    both = LAB.replace("ipv4", "egress: {deny: [10.0.0.0/8, 10.9.0.0/16]}, ipv4")
    assert said(world([wide]), world([both])) == {}, "10.9.0.0/16 was denied already"
    assert said(world([LAB]), world([host]))["lab", "host", 4] == ("yes", "services")


def test_ten_thousand_forwards_and_wide_ranges_are_cheap() -> None:
    def many(to: int) -> World:
        one = world([LAB], WEB % "")
        return replace(one, guests=(replace(one.guests[0], forwards=tuple(forwards(to))),))

    def forwards(to: int) -> Iterator[Forward]:
        target = IPv4Address("10.66.1.10")
        for port in range(1, 10_001):
            yield Forward("tcp", None, PortRange(port, port), PortRange(to, to), target, "lab")
        wide = PortRange(20_000, 59_999)
        yield Forward("udp", None, wide, PortRange(wide.first + to, wide.last + to), target, "lab")

    before, after = many(22), many(80)
    begun = time.process_time()
    found = [flip for flip in flips(before, after, FACTS) if flip.source == "internet"]
    assert len(found) == 10_001, "a range is one"
    last = " ".join(lines(found)[-1].split())
    assert last == "internet -> web1 20000-59999/udp v4 to 20022-60021 -> to 20080-60079"
    assert time.process_time() - begun < 10, "0.8 s of an idle processor"


@pytest.mark.parametrize("known", [True, False])
def test_what_a_plan_says_when_nobody_knows_what_was_before(known: bool, capsys: pytest.CaptureFixture[str]) -> None:
    after = world([LAB])
    plan = make_plan(after, FACTS, {}, {}, after if known else None)
    assert plan_data(plan)["flips"] == ([] if known else None)
    print_plan(plan, pending=True)
    said = capsys.readouterr().out
    assert ("what the file said before is not known, so neither is which cells change" in said) is not known
    assert "who can reach whom" not in said


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

    spec = load_spec((GOLDEN / case / "spec.yaml").read_bytes(), "spec.yaml")
    wanted, memory = made(GOLDEN / case, Memory())
    text = applied(spec, wanted)
    again = spec_of(text)
    assert again is not None
    same = drawn(again, 9)
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
        texts.add(applied(spec, drawn(spec, 7)))
    (only,) = texts
    assert json.loads(only)["guests"]["web1"]["forwards"] == [80]
