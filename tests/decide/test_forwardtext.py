"""Elements as a person wrote them: families together, neighbouring ports one range."""

from __future__ import annotations

from guestnet.compile import ruleset
from guestnet.decide.forwardtext import forward_lines
from guestnet.spec.memory import Memory
from guestnet.spec.world import World
from tests.compile.test_golden import GOLDEN, made


def test_the_golden_forwards_read_as_they_were_written() -> None:
    world, _ = made(GOLDEN / "040-forwards", Memory())
    web1 = next(guest for guest in world.guests if guest.name == "web1")
    elements = [(name, item) for name, items in ruleset.elements(web1.forwards).items() for item in items]
    assert forward_lines(elements) == [
        "203.0.113.5:443/tcp -> 443 (IPv4)",
        "4023/tcp -> 22 (IPv4, IPv6)",
        "5353/udp -> 53 (IPv4, IPv6)",
        "127.0.0.1:5900/tcp -> 5900 (IPv4)",
        "203.0.113.6:5900/tcp -> 5900 (IPv4)",
        "6000/tcp -> 6000 (IPv4, IPv6)",
        "6000/udp -> 6000 (IPv4, IPv6)",
        "7000-7002/tcp -> 8078-8080 (IPv4, IPv6)",
        "8080/tcp -> 8080 (IPv4, IPv6)",
        "[2001:db8::5]:8443/tcp -> 443 (IPv6)",
        "9000/tcp -> 90 (IPv6)",
        "[2001:db8::5]:9100/tcp -> 9100 (IPv6)",
        "[2001:db8::5]:9100/udp -> 9100 (IPv6)",
        "203.0.113.5:9100/tcp -> 9100 (IPv4)",
        "203.0.113.5:9100/udp -> 9100 (IPv4)",
        "up0:9300/tcp -> 93 (IPv4, IPv6)",
        "9400-9401/tcp from 198.51.100.0/24 -> 9400-9401 (IPv4)",
        "9400-9401/tcp from 2001:db8:2::/48 -> 9400-9401 (IPv6)",
        "9400-9401/tcp from 203.0.113.9 -> 9400-9401 (IPv4)",
        "203.0.113.5:9500/udp from 198.51.100.0/24 -> 9500 (IPv4)",
        "up0:9500/udp from 198.51.100.0/24 -> 9500 (IPv4)",
        "9600/tcp -> 9600 (IPv4)",
        "9600/tcp from 2001:db8:2::/48 -> 9600 (IPv6)",
        "20000-21000/udp -> 20000-21000 (IPv4, IPv6)",
        "22000-22300/tcp -> 32000-32300 (IPv4, IPv6)",
        "23000-24000/tcp from 198.51.100.0/24 -> 23000-24000 (IPv4)",
    ]
    assert lines_of(world, "whole") == [
        "2001:db8::8 -> the whole guest, and back (IPv6)",
        "203.0.113.7 -> the whole guest, and back (IPv4)",
        "203.0.113.8 -> the whole guest (IPv4)",  # to others it can have one only
    ]
    assert len(ruleset.elements(web1.forwards)["any_range4"]) == 1, "a large range is one element"


def test_what_is_open_at_the_guests_own_address() -> None:
    world, _ = made(GOLDEN / "070-routed", Memory())
    assert lines_of(world, "near") == [
        "443/tcp open at the guest's own address (IPv6)",
        "444/tcp from 2001:db8:2::/48 open at the guest's own address (IPv6)",
        "8443/tcp -> 443 (IPv4, IPv6)",
        "8444/tcp from 2001:db8:2::/48 -> 444 (IPv6)",
    ]
    assert ruleset.elements(next(guest for guest in world.guests if guest.name == "www").forwards).keys() == {
        "any4",
        "any6",
    }, "an open network needs none"


def lines_of(world: World, name: str) -> list[str]:
    guest = next(guest for guest in world.guests if guest.name == name)
    return forward_lines([(kind, item) for kind, items in ruleset.elements(guest.forwards).items() for item in items])


def test_with_the_guests_addresses_there_is_a_line_a_family() -> None:
    elements = [
        ("any4", "tcp . 4023 : 10.0.0.10 . 22"),
        ("any4", "tcp . 4024 : 10.0.0.10 . 23"),
        ("any6", "tcp . 4023 : fd00:1::10 . 22"),
        ("on_from_range4", "198.51.100.0/24 . 203.0.113.5 . udp . 5000-5999 : 10.0.0.10"),
        ("whole4", "203.0.113.7 : 10.0.0.11"),
        ("source4", "10.0.0.11 : 203.0.113.7"),
        ("open6", "2001:db8::10 . tcp . 22 : accept"),
        ("open_from6", "2001:db8:2::/48 . 2001:db8::10 . tcp . 80 : accept"),
    ]
    assert forward_lines(elements, addresses=True) == [
        "203.0.113.7 -> the whole guest, 10.0.0.11, and back (IPv4)",
        "22/tcp open at the guest's own address, 2001:db8::10 (IPv6)",
        "80/tcp from 2001:db8:2::/48 open at the guest's own address, 2001:db8::10 (IPv6)",
        "4023/tcp -> [fd00:1::10]:22 (IPv6)",
        "4023-4024/tcp -> 10.0.0.10:22-23 (IPv4)",
        "203.0.113.5:5000-5999/udp from 198.51.100.0/24 -> 10.0.0.10:5000-5999 (IPv4)",
    ]
