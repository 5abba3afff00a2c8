"""Which of libvirt's own chains lack rules, of what libvirt 9.0 (iptables) and 11.3 (nftables) really wrote.

tests/live/test_flushed.py and tests/firewalls/test_libvirt_nftables.py empty them where libvirt runs.
"""

from __future__ import annotations

import pytest

from guestnet.decide.libvirtrules import Chain, Rules, lacking

NAT = """<network><name>lab</name><forward mode='nat'><nat ipv6='yes'/></forward><bridge name='vlab'/>
<ip address='10.9.1.1' netmask='255.255.255.0'><dhcp><range start='10.9.1.2' end='10.9.1.254'/></dhcp></ip>
<ip family='ipv6' address='fd00:9:0:1::1' prefix='64'/></network>"""
ALONE = """<network><name>iso</name><bridge name='viso'/><ip address='10.9.2.1' prefix='24'/></network>"""
OPEN = (
    """<network><name>o</name><forward mode='open'/><bridge name='vo'/><ip address='10.9.3.1' prefix='24'/></network>"""
)
LAN = "<network><name>lan</name><forward mode='bridge'/><bridge name='br1'/></network>"
NETWORKS = {"lab": NAT, "iso": ALONE, "o": OPEN, "lan": LAN}

IPTABLES = {
    "iptables": """
-A LIBVIRT_FWI -d 10.9.1.0/24 -o vlab -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A LIBVIRT_FWI -o vlab -j REJECT --reject-with icmp-port-unreachable
-A LIBVIRT_FWI -o viso -j REJECT --reject-with icmp-port-unreachable
-A LIBVIRT_FWO -s 10.9.1.0/24 -i vlab -j ACCEPT
-A LIBVIRT_FWO -i vlab -j REJECT --reject-with icmp-port-unreachable
-A LIBVIRT_FWO -i viso -j REJECT --reject-with icmp-port-unreachable
-A LIBVIRT_FWX -i vlab -o vlab -j ACCEPT
-A LIBVIRT_FWX -i viso -o viso -j ACCEPT
-A LIBVIRT_INP -i vlab -p udp -m udp --dport 67 -j ACCEPT
-A LIBVIRT_OUT -o vlab -p udp -m udp --dport 68 -j ACCEPT
-A LIBVIRT_PRT -s 10.9.1.0/24 -d 224.0.0.0/24 -j RETURN
-A LIBVIRT_PRT -s 10.9.1.0/24 ! -d 10.9.1.0/24 -j MASQUERADE
""",
    "ip6tables": """
-A LIBVIRT_FWI -d fd00:9:0:1::/64 -o vlab -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A LIBVIRT_FWI -o vlab -j REJECT --reject-with icmp6-port-unreachable
-A LIBVIRT_FWO -s fd00:9:0:1::/64 -i vlab -j ACCEPT
-A LIBVIRT_FWO -i vlab -j REJECT --reject-with icmp6-port-unreachable
-A LIBVIRT_FWX -i vlab -o vlab -j ACCEPT
-A LIBVIRT_PRT -s fd00:9:0:1::/64 ! -d fd00:9:0:1::/64 -j MASQUERADE
""",
}
NFTABLES = {
    "ip": """
guest_output ip saddr 10.9.1.0/24 iif "vlab" counter packets 0 bytes 0 accept
guest_output iif "vlab" counter packets 0 bytes 0 reject
guest_output iif "viso" counter packets 0 bytes 0 reject
guest_input oif "vlab" ip daddr 10.9.1.0/24 ct state established,related counter packets 0 bytes 0 accept
guest_input oif "vlab" counter packets 0 bytes 0 reject
guest_input oif "viso" counter packets 0 bytes 0 reject
guest_cross iif "vlab" oif "vlab" counter packets 0 bytes 0 accept
guest_cross iif "viso" oif "viso" counter packets 0 bytes 0 accept
guest_nat ip saddr 10.9.1.0/24 ip daddr 224.0.0.0/24 counter packets 1 bytes 40 return
guest_nat ip saddr 10.9.1.0/24 ip daddr != 10.9.1.0/24 counter packets 0 bytes 0 masquerade
""",
    "ip6": """
guest_output ip6 saddr fd00:9:0:1::/64 iif "vlab" counter packets 0 bytes 0 accept
guest_output iif "vlab" counter packets 0 bytes 0 reject
guest_input oif "vlab" ip6 daddr fd00:9:0:1::/64 ct state established,related counter packets 0 bytes 0 accept
guest_input oif "vlab" counter packets 0 bytes 0 reject
guest_cross iif "vlab" oif "vlab" counter packets 0 bytes 0 accept
guest_nat ip6 saddr fd00:9:0:1::/64 ip6 daddr != fd00:9:0:1::/64 counter packets 0 bytes 0 masquerade
""",
}


def iptables() -> dict[Chain, tuple[str, ...]]:
    found: dict[Chain, tuple[str, ...]] = {}
    for program, text in IPTABLES.items():
        for line in text.split("\n")[1:-1]:
            chain = Chain(program, line.split()[1])
            found[chain] = (*found.get(chain, ()), line)
    return found


def nftables() -> dict[Chain, tuple[str, ...]]:
    found: dict[Chain, tuple[str, ...]] = {}
    for family, text in NFTABLES.items():
        for line in text.split("\n")[1:-1]:
            name, _, rule = line.partition(" ")
            chain = Chain(f"{family} libvirt_network", name)
            found[chain] = (*found.get(chain, ()), rule)
    return found


@pytest.mark.parametrize("rules", [iptables(), nftables()])
def test_each_chain_that_is_emptied_is_named_and_no_other(rules: Rules) -> None:
    assert lacking(NETWORKS, rules) == ""
    for chain in rules:
        whose = "lab, iso" if any("viso" in rule for rule in rules[chain]) else "lab"
        assert lacking(NETWORKS, {**rules, chain: ()}) == f"{chain.name} of {chain.owner} (network {whose})"


@pytest.mark.parametrize("rules", [iptables(), nftables()])
def test_one_rule_of_a_kind_that_decides(rules: Rules) -> None:
    for chain, lines in rules.items():
        for rule in lines:
            said = lacking(NETWORKS, {**rules, chain: tuple(line for line in lines if line != rule)})
            assert (said == "") == ("return" in rule.lower()), rule


def test_a_chain_of_the_backend_that_is_used_no_more() -> None:
    assert lacking(NETWORKS, iptables() | {chain: () for chain in nftables()}) == ""
    assert lacking(NETWORKS, nftables() | {chain: () for chain in iptables()}) == ""
    everything = lacking(NETWORKS, {chain: () for chain in nftables()})
    assert all(f"{chain.name} of {chain.owner}" in everything for chain in nftables())
    assert "iptables" not in everything
