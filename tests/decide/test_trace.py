"""Steps from what nft prints, and whose a rule is: on lines as nft 1.0.6 prints them, and on those recorded of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from guestnet.decide.trace import Head, Step, first, heads, last, owner, parse, whose

HEAD = "ether saddr 02:00:00:00:00:01 ether daddr 02:00:00:00:00:02 ip saddr 10.0.0.2 ip daddr 10.9.0.3 ip dscp cs0 "
IN = f"""
trace id a1 inet guestnet_trace prerouting packet: iif "br1" {HEAD}
trace id a1 inet guestnet_trace prerouting rule ip saddr 10.0.0.2 meta nftrace set 1 (verdict continue)
trace id a1 inet guestnet_trace prerouting policy accept
trace id a1 inet guestnet_trace replies packet: iif "br1" {HEAD}
trace id a1 inet guestnet_trace replies policy accept
trace id a1 ip nat PREROUTING packet: iif "br1" {HEAD}
trace id a1 ip nat PREROUTING policy accept
"""
FORWARD = f"""
trace id a1 ip filter FORWARD packet: iif "br1" oif "up0" {HEAD}
trace id a1 ip filter FORWARD rule counter packets 4 bytes 736 jump %s (verdict jump %s)
trace id a1 ip filter %s rule oifname "up0" counter packets 1 bytes 60 %s (verdict drop)
"""
# An answer after NAT: nothing but conntrack knows it.
BACK = f"""
trace id a1 inet guestnet_trace replies packet: iif "up0" {HEAD}
trace id a1 inet guestnet_trace replies rule ct direction reply ct original ip saddr 10.0.0.2 meta nftrace set 1 (verdict continue)
trace id a1 inet guestnet_trace replies policy accept
trace id a1 ip nat PREROUTING packet: iif "up0" {HEAD}
"""  # noqa: E501  as it is printed
BOTH = f"""
trace id a1 inet guestnet_trace prerouting packet: iif "up0" {HEAD}
trace id a1 inet guestnet_trace prerouting rule ip daddr 10.0.0.2 meta nftrace set 1 (verdict continue)
{BACK.strip()}
"""


def steps(text: str) -> list[list[Step]]:
    return parse(text.splitlines())


@pytest.mark.parametrize(
    ("chain", "who", "said"),
    [
        ("LIBVIRT_FWI", "libvirt", "libvirt's"),
        ("DOCKER-USER", "docker", "docker's"),
        ("DOCKER", "docker", "docker's"),
        ("ufw-user-forward", "ufw", "ufw's"),
        ("f2b-sshd", "fail2ban", "fail2ban's"),
        ("KUBE-FORWARD", "kubernetes", "kubernetes'"),
        ("mine", "unknown", "somebody's"),
    ],
)
@pytest.mark.parametrize(("verdict", "end"), [("drop", "dropped"), ("reject", "rejected")])
def test_whose_rule_it_was(chain: str, who: str, said: str, verdict: str, end: str) -> None:
    (found,) = steps(IN + FORWARD % (chain, chain, chain, verdict))
    assert (owner(found[-1]), whose(found[-1]), found[-1].end) == (who, said, end)
    assert found[-1].text == f'oifname "up0" {verdict}', "counters are not part of a rule"


@pytest.mark.parametrize(
    ("table", "who"),
    [
        ("inet guestnet", "guestnet"),
        ("ip libvirt_network", "libvirt"),
        ("inet firewalld", "firewalld"),
        ("ip docker-bridges", "docker"),
        ("inet netavark", "podman"),
        ("inet filter", "unknown"),
    ],
)
def test_tables_that_have_one_owner(table: str, who: str) -> None:
    ((_, *_, rule),) = steps(f"{IN}trace id a1 {table} forward rule drop (verdict drop)")
    assert (rule.table, owner(rule), rule.ended) == (table, who, True)


def test_a_policy_is_nobodys_rule() -> None:
    ((*_, policy),) = steps(f"{IN}trace id a1 ip filter FORWARD policy drop")
    assert (policy.kind, policy.text, policy.end, whose(policy)) == ("policy", "policy drop", "dropped", "iptables'")
    ((*_, policy),) = steps(f"{IN}trace id a1 inet filter forward policy drop")
    assert owner(policy) == "unknown"


def test_the_admit_rule_is_ours() -> None:
    line = "trace id a1 ip filter FORWARD rule ct status dnat ct mark and 0x2000 == 0x2000 accept (verdict accept)"
    (found,) = parse([*IN.splitlines(), line])
    assert owner(found[-1]) == "guestnet"
    assert not found[-1].ended


@pytest.mark.parametrize(
    ("rule", "verdict", "end"),
    [
        ('accept comment "do not reject"', "accept", ""),
        ("jump reject", "jump reject", ""),
        ("goto reject", "goto reject", ""),
        ("ip saddr @reject return", "return", ""),
        ('log prefix "reject "', "continue", ""),
        ("ip saddr @reject drop", "drop", "dropped"),
        ('drop comment "reject"', "drop", "dropped"),
        ("reject with icmpx admin-prohibited", "drop", "rejected"),
        ('reject with tcp reset comment "go away"', "drop", "rejected"),
    ],
)
def test_a_verdict_is_no_word_of_a_comment_or_a_name(rule: str, verdict: str, end: str) -> None:
    ((*_, step),) = steps(f"{IN}trace id a1 inet other forward rule {rule} (verdict {verdict})")
    assert (step.text, step.end) == (rule, end)


def test_packets_of_one_connection_are_told_apart() -> None:
    assert [len(found) for found in steps(IN + IN)] == [3, 3]


def test_answers_after_nat() -> None:
    """Marked late, when conntrack knows them; those marked before as well are still one packet."""
    there, back = steps(IN + BACK)
    assert (first(there).iif, first(back).iif) == ("br1", "up0")
    there, back = steps(IN + BOTH)
    assert (first(there).iif, first(back).iif) == ("br1", "up0")
    assert [len(found) for found in steps(IN + BACK + BACK)] == [3, 2, 2]


def test_heads() -> None:
    (found,) = steps(IN + FORWARD % ("x", "x", "x", "drop"))
    assert list(heads(found)) == [
        Head("br1", "", "10.0.0.2", "10.9.0.3", 0),
        Head("br1", "", "10.0.0.2", "10.9.0.3", 0),
        Head("br1", "up0", "10.0.0.2", "10.9.0.3", 0),
    ]
    assert (first(found).oif, last(found).oif) == ("", "up0")
    assert first([]) == last([]) == Head("", "", "", "", 0)


def test_lines_that_are_none_are_passed_over() -> None:
    assert parse(["", "add table inet x", "trace id", "trace id a1 inet x y rule drop (verdict drop)"]) == []


def recorded(name: str) -> list[list[Step]]:
    return steps((Path(__file__).parent / "traces" / f"{name}.txt").read_text())


def test_a_recorded_connection() -> None:
    """A client's packets and the guest's, in turn; the forward shows in whom they are for."""
    there, back, *_ = recorded("forward")
    assert first(there) == Head("gnprobe0", "", "198.19.255.2", "203.0.113.2", 4023)
    assert last(there) == Head("gnprobe0", "virbr1", "198.19.255.2", "10.66.1.10", 22)
    assert first(back).source == "10.66.1.10"
    assert last(back).oif == "gnprobe0"
    assert last(recorded("forward6")[0]).target == "fd00:66:1::10"


def test_a_recorded_answer_after_nat() -> None:
    there, back = recorded("reply")
    assert (first(there).target, first(back).source, first(back).target) == (
        "203.0.113.1",
        "203.0.113.1",
        "203.0.113.2",
    )
    assert last(back).target == "10.66.1.254", "as whom it was for in the end"
    assert back[-1].ended
