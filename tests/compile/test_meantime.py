"""The rules that stand while libvirt's are away: what they let out and what they keep in, and that nft takes them."""

from __future__ import annotations

import subprocess

import pytest

from guestnet.compile import meantime

NAT = (
    "<network><forward mode='nat'>{nat}</forward><bridge name='virbr9'/><ip address='10.9.1.1' prefix='24'/>"
    "<ip family='ipv6' address='fd00:9::1' prefix='64'/></network>"
)
PLAIN = NAT.format(nat="")
OUT = 'oifname != lo oifname != { "virbr9" } ip saddr { 10.9.1.0/24 } '
OUT6 = OUT.replace("ip saddr { 10.9.1.0/24 }", "ip6 saddr { fd00:9::/64 }")


def rules(text: str) -> set[str]:
    return {part.strip() for part in text.replace("{ type", ";").split(";")}


def test_what_libvirt_translates_is_translated_meanwhile() -> None:
    assert f"{OUT}masquerade" in rules(meantime.table([PLAIN]))
    assert f"{OUT6}masquerade" not in rules(meantime.table([PLAIN])), "libvirt does not, without NAT66"
    ports = meantime.table([NAT.format(nat="<nat ipv6='yes'><port start='3000' end='4000'/></nat>")])
    tcp_udp = "meta l4proto { tcp, udp } masquerade to :3000-4000"
    assert {f"{OUT}{tcp_udp}", f"{OUT}masquerade", f"{OUT6}{tcp_udp}", f"{OUT6}masquerade"} <= rules(ports)


def test_nothing_gets_out_where_libvirt_chooses_the_address() -> None:
    chosen = meantime.table([NAT.format(nat="<nat><address start='192.0.2.5' end='192.0.2.6'/></nat>")])
    assert f"{OUT}drop" in rules(chosen)
    assert "masquerade" not in chosen


def test_a_routed_network_keeps_its_addresses() -> None:
    routed = meantime.table([PLAIN.replace("'nat'", "'route'")])
    assert "masquerade" not in routed
    assert 'ip daddr { 10.9.1.0/24 } oifname != { "virbr9" } drop' in rules(routed)
    assert 'iifname { "virbr9" } oifname != { "virbr9" } ip6 saddr != { fd00:9::/64 } drop' in rules(routed)


@pytest.mark.parametrize("xml", ["<network><bridge name='virbr9'/></network>", PLAIN.replace("'nat'", "'open'")])
def test_where_libvirt_lets_nobody_out_or_has_no_rules_there_are_none(xml: str) -> None:
    assert meantime.table([xml]) == ""


def test_a_network_may_come_to_have_another_bridge_and_subnet() -> None:
    """Until then both are its own."""
    after = PLAIN.replace("virbr9", "virbr8").replace("10.9.1.1", "10.9.2.1")
    text = meantime.table([PLAIN, after])
    both = 'ip daddr { 10.9.1.0/24, 10.9.2.0/24 } oifname != { "virbr9", "virbr8" } drop'
    assert both in rules(text)
    assert not any("drop" in one and one.count("virbr") == 1 for one in rules(text))


def test_nft_takes_them() -> None:
    texts = [PLAIN, NAT.format(nat="<nat ipv6='yes'><port start='3000' end='4000'/></nat>")]
    for text in (*texts, PLAIN.replace("'nat'", "'route'")):
        done = subprocess.run(
            ["unshare", "-rn", "nft", "-c", "-f", "-"],
            input=meantime.table([text]),
            capture_output=True,
            text=True,
            check=False,
        )
        assert not done.returncode, done.stderr
