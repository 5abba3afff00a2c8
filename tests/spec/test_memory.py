"""What is remembered, as text and back."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import pytest

from guestnet.spec.memory import GuestMemory, Memory, NetworkMemory, from_text, to_text
from guestnet.words.problems import GuestnetError

FULL = Memory(
    ula=IPv6Network("fd5c:6a1b:20e7::/48"),
    networks={
        "lab": NetworkMemory(
            IPv4Network("192.168.84.0/24"), IPv6Network("fd5c:6a1b:20e7:1::/64"), "virbr1", "52:54:00:00:00:01"
        ),
        "böse": NetworkMemory(),
    },
    guests={
        ("lab", "web 1"): GuestMemory(IPv4Address("192.168.84.10"), IPv6Address("fd5c:6a1b:20e7:1::10")),
        ("lab", "db"): GuestMemory(IPv4Address("192.168.84.11")),
    },
    sysctls={"net/ipv4/ip_forward": "0"},
)


@pytest.mark.parametrize("memory", [Memory(), FULL])
def test_there_and_back(memory: Memory) -> None:
    assert from_text(to_text(memory)) == memory


def test_cut_anywhere_it_is_damaged() -> None:
    text = to_text(FULL)
    for length in range(len(text) - 1):  # the closing newline is not needed
        if length < len(text) - 1 and text[:length].strip() != text.strip():
            with pytest.raises(GuestnetError, match=r"memory.json is damaged \(put a backup of it back"):
                from_text(text[:length])


@pytest.mark.parametrize(
    "text",
    ["", "null", "[]", "1", '{"version": 0}', '{"version": true}', '{"version": "1"}', '{"version": 1}', "[" * 100_000],
)
def test_not_a_memory(text: str) -> None:
    with pytest.raises(GuestnetError, match="is damaged"):
        from_text(text)


def test_wrong_values() -> None:
    text = to_text(FULL)
    for old, new in (("192.168.84.10", "x"), ("fd5c:6a1b:20e7::/48", "fd5c::1/48"), ('"lab"', '"lab": 1, "x"')):
        with pytest.raises(GuestnetError, match="is damaged"):
            from_text(text.replace(old, new))


def test_of_a_newer_guestnet() -> None:
    with pytest.raises(
        GuestnetError, match=r"m.json was written by a newer guestnet \(version 2\) \(use that guestnet"
    ):
        from_text('{"version": 2, "more": []}', "m.json")
