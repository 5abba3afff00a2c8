"""Elements as a person wrote them: families together, neighbouring ports one range."""

from __future__ import annotations

from guestnet.compile import ruleset
from guestnet.decide.forwardtext import forward_lines
from guestnet.spec.memory import Memory
from tests.compile.test_golden import GOLDEN, made


def test_the_golden_forwards_read_as_they_were_written() -> None:
    world, _ = made(GOLDEN / "040-forwards", Memory())
    web1 = next(guest for guest in world.guests if guest.name == "web1")
    elements = [(name, item) for name, items in ruleset.elements(web1.forwards).items() for item in items]
    assert forward_lines(elements) == [
        "203.0.113.5:443/tcp -> 443 (IPv4)",
        "4023/tcp -> 22 (IPv4, IPv6)",
        "5353/udp -> 53 (IPv4, IPv6)",
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
    ]
