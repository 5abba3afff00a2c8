"""What an apply would cost the host of its own IPv6, where the order of the settings cannot mend it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from guestnet.decide.desired import desired_state
from guestnet.decide.facts import Facts
from guestnet.decide.plan import make_plan
from guestnet.decide.routers import FORWARDING
from guestnet.decide.state import Key, Setting, State
from guestnet.spec.memory import Memory
from guestnet.spec.world import World
from tests.compile.test_golden import GOLDEN, made

WORLD, _ = made(GOLDEN / "030-seed-nat66", Memory())
ONLY4, _ = made(GOLDEN / "010-seed-ipv4", Memory())
RA = "net/ipv6/conf/eth0/accept_ra"
FACTS = Facts("kvm1", "9.0.0", settings={RA: "1", "net/ipv4/ip_forward": "0", FORWARDING[1]: "0"})


def problems(facts: Facts, world: World = WORLD, live: State | None = None) -> list[str]:
    state, _ = desired_state(world, facts, Memory(), "")
    have = {Key("setting", key): Setting(value) for key, value in facts.settings.items()}
    plan = make_plan(world, facts, have if live is None else live, state)
    return [str(problem) for problem in plan.problems]


def test_nothing_is_in_the_way() -> None:
    assert problems(FACTS) == []
    assert problems(replace(FACTS, learning=("eth0",))) == [], "apply sets it, before forwarding"


def test_routes_that_the_kernel_learned_before_somebody_took_the_nic_over() -> None:
    facts = replace(FACTS, learned=("eth0",))
    (said,) = problems(facts)
    assert "eth0 has IPv6 routes that the kernel made of router advertisements before its accept_ra became 0" in said
    assert f"(sysctl {RA}=2, at least until they have expired, see: ip -6 route show dev eth0)" in said
    assert problems(facts, ONLY4) == [], "neither forwarding of IPv6 nor a network that libvirt checks"
    there, _ = desired_state(WORLD, facts, Memory(), "")
    assert problems(facts, live=there) == [], "nothing starts, and forwarding is on"


@pytest.mark.parametrize(("key", "said"), [(RA, "the host loses its own IPv6"), (FORWARDING[1], "read-only here (set")])
def test_what_cannot_be_written_is_known_before(key: str, said: str) -> None:
    facts = replace(FACTS, learning=("eth0",), locked=frozenset({key}))
    (found,) = problems(facts)
    assert found.startswith(f"sysctl {key} can't be set to {'2' if key == RA else '1'}: ")
    assert said in found
    right = replace(facts, settings={RA: "2", "net/ipv4/ip_forward": "0", FORWARDING[1]: "1"})
    assert problems(right) == [], "it is as it should be"
