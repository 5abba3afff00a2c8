"""Where a running guest's forwards go, when it has another address than it is to have."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address

from guestnet.compile import hookdata
from guestnet.decide.describe import describe
from guestnet.decide.desired import desired_state
from guestnet.decide.facts import Domain, DomainNic, Facts, Lease, Neighbour
from guestnet.decide.plan import make_plan
from guestnet.decide.state import File, Key, State, Table
from guestnet.decide.status import make_status
from guestnet.decide.whereabouts import elsewhere, to_ask
from guestnet.spec.memory import Memory
from guestnet.spec.world import World
from tests.worlds import drawn

MAC = "52:54:00:12:34:56"
NETWORK = "networks: {lab: {mode: nat, bridge: virbr1, ipv4: 10.0.0.1/24, ipv6: 'fd00:1::1/64'}}\n"
TABLE = Key("table", "guestnet")
KEY = Key("hookdata", f"{hookdata.NOW}/web1")


def world(rest: str) -> World:
    text = f"{NETWORK}guests: {{web1: {{network: lab, mac: '{MAC}', {rest}forwards: ['8080:80']}}}}"
    return drawn(text)


CHOSEN, WRITTEN = world(""), world("ipv4: 10.0.0.30, ipv6: '::30', ")
((NIC,),) = (guest.nics for guest in CHOSEN.guests)
RUNS, OFF = (Facts("kvm1", "9.0.0", domains=(Domain("web1", on, (DomainNic("lab", MAC),)),)) for on in (True, False))


def has(
    its: World = CHOSEN, *, seen: tuple[str, ...] = (), before: str = "", leased: tuple[str, ...] = ()
) -> str | None:
    """What the forwards of IPv4 follow instead of the reserved address."""
    found = elsewhere(its.guests[0], facts(seen=seen, before=before, leased=leased)).get(("lab", 4))
    return None if found is None else str(found)


def facts(base: Facts = RUNS, *, seen: tuple[str, ...] = (), before: str = "", leased: tuple[str, ...] = ()) -> Facts:
    return replace(
        base,
        neighbours=tuple(Neighbour("virbr1", MAC, ip_address(one)) for one in seen),
        leases=tuple(Lease("lab", MAC, ip_address(one)) for one in leased),
        followed={("web1", "lab"): (ip_address(before),)} if before else {},
    )


def test_what_was_found_once_holds_until_it_is_met_elsewhere() -> None:
    assert has(seen=("10.0.0.77",)) == "10.0.0.77"
    assert has(before="10.0.0.77") == "10.0.0.77", "it is silent"
    assert has(before="10.0.0.77", seen=("10.0.0.88",)) == "10.0.0.88"
    assert has(before="10.0.0.77", seen=("10.0.0.66", "10.0.0.77")) == "10.0.0.77", "one beside it"
    assert has(before="10.0.0.77", seen=("10.0.0.77", str(NIC.ipv4))) is None
    assert has(before="10.0.0.77", seen=(str(NIC.ipv4),)) is None
    assert has(before=str(NIC.ipv4)) is None, "the file has it by now"
    assert has(before="10.0.0.77", leased=(str(NIC.ipv4),)) == "10.0.0.77", "a lease from before it set one itself"
    assert has(before="10.0.0.77", leased=(str(NIC.ipv4),), seen=("10.0.0.77",)) == "10.0.0.77"


def test_an_old_address_is_followed_until_the_lease_moves() -> None:
    assert has(WRITTEN) is None
    assert has(WRITTEN, leased=("10.0.0.20",)) == "10.0.0.20"
    assert has(WRITTEN, before="10.0.0.20") == "10.0.0.20", "it lets its lease run out, and keeps the address"
    assert has(WRITTEN, before="10.0.0.20", leased=("10.0.0.30",)) is None
    assert has(WRITTEN, before="10.0.0.20", leased=("10.0.0.30",), seen=("10.0.0.20",)) == "10.0.0.20"
    assert has(WRITTEN, before="10.0.0.20", seen=("10.0.0.99",)) == "10.0.0.20", "a second one of its own"
    assert has(WRITTEN, seen=("10.0.0.99",)) is None


def test_only_who_may_be_elsewhere_is_asked() -> None:
    def asked(
        its: World = CHOSEN, base: Facts = RUNS, *, before: str = "", seen: str = "", leased: str = ""
    ) -> set[str]:
        found = facts(base, before=before, seen=tuple(seen.split()), leased=tuple(leased.split()))
        questions = to_ask(its, found)
        assert all(link == "virbr1" and mac == MAC for link, mac, _ in questions)
        return {str(address) for _, _, address in questions}

    reserved = str(NIC.ipv4)
    assert asked() == asked(seen=reserved, leased=reserved) == set(), "where it is to be"
    assert asked(seen="10.0.0.77") == {"10.0.0.77", reserved}
    assert asked(seen="10.0.0.77", base=OFF) == set()
    assert asked(before="10.0.0.77") == {"10.0.0.77"}, "not where nobody has met it: that takes 3 s each time"
    assert asked(before="10.0.0.77", seen=f"10.0.0.77 {reserved}") == {"10.0.0.77", reserved}
    assert asked(leased="10.0.0.20") == {"10.0.0.20", reserved}
    assert asked(WRITTEN, seen="10.0.0.99") == set(), "one beside what the file says is no news"
    assert asked(WRITTEN, seen="10.0.0.99", before="10.0.0.20") == {"10.0.0.20"}


def state(base: Facts) -> State:
    return desired_state(CHOSEN, base, Memory(), "")[0]


def test_the_hook_gets_what_apply_found() -> None:
    found = state(facts(seen=("10.0.0.77", "fd00:1::77")))
    file, table = found[KEY], found[TABLE]
    assert isinstance(file, File)
    assert isinstance(table, Table)
    in_force = {name: items for name, items in table.elements if items}
    assert hookdata.elements(file.text) == in_force == {
        "any4": ("tcp . 8080 : 10.0.0.77 . 80",),
        "any6": ("tcp . 8080 : fd00:1::77 . 80",),
    }  # fmt: skip
    assert hookdata.followed(file.text) == {"lab": (IPv4Address("10.0.0.77"), IPv6Address("fd00:1::77"))}
    assert KEY not in state(facts(seen=(str(NIC.ipv4),)))
    assert hookdata.followed(file.text.replace("10.0.0.77", "10.0.0")) == {}, "damaged"


def test_of_a_guest_that_is_off_it_stays_for_when_it_is_restored() -> None:
    kept = state(facts(OFF, before="10.0.0.77", seen=("10.0.0.88",)))
    assert kept[KEY] == state(facts(before="10.0.0.77"))[KEY]
    assert kept[TABLE] == state(OFF)[TABLE], "nothing of it is in force"
    assert KEY not in state(facts(OFF, seen=("10.0.0.88",)))
    status = make_status(make_plan(CHOSEN, facts(OFF, before="10.0.0.77"), kept, kept), kept)
    assert "10.0.0.77" not in str(status.guests)


def test_the_plan_names_the_address() -> None:
    def said(before: State, after: Facts) -> list[str]:
        items = describe(make_plan(CHOSEN, after, before, state(after)))
        return [f"{item.title}: {line}" for item in items for line, _ in item.lines]

    first, second = facts(seen=("10.0.0.77",)), facts(before="10.0.0.77", seen=("10.0.0.88",))
    title = "guest web1 (running)"
    assert said(state(RUNS), first) == [f"{title}: ~ its forwards go to 10.0.0.77, which it has"]
    assert said(state(first), second) == [f"{title}: ~ its forwards go to 10.0.0.88, which it has (not 10.0.0.77)"]
    gone = f"{title}: ~ its forwards go to 10.0.0.77 no more, but to the address that it is to have"
    assert said(state(first), facts(seen=(str(NIC.ipv4),))) == [gone]
    other = {**state(first), TABLE: state(RUNS)[TABLE]}
    assert said(other, first) == [
        f"host: - in force: 8080/tcp -> {NIC.ipv4}:80 (IPv4)",
        "host: + in force: 8080/tcp -> 10.0.0.77:80 (IPv4)",
    ]
