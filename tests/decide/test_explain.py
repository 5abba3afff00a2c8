"""What is made of a followed packet: on traces recorded on a host with nft 1.0.6 and libvirt 9.0 (traces/), and with
what no trace shows varied. The way is asserted whole where that is what a person reads."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from guestnet.decide.case import Case, Followed
from guestnet.decide.forwarded import Through
from guestnet.decide.hops import Hop, route_text
from guestnet.decide.trace import Step, first, parse
from guestnet.decide.why import explain, let_through
from guestnet.spec.load import load_spec
from guestnet.spec.world import Forward, Lan, Network
from guestnet.words.ports import PortRange
from tests.worlds import drawn

SILENCE = {"outcome": "silence", "by": "", "text": "no answer"}


def recorded(name: str) -> list[list[Step]]:
    return parse((Path(__file__).parent / "traces" / f"{name}.txt").read_text().splitlines())


def answer(outcome: str, by: str = "", text: str = "") -> dict[str, Any]:
    return {"outcome": outcome, "by": by, "text": text}


def case(trace: str = "", **known: Any) -> Case:
    """A ping of an end in `lab` to the internet, unless said otherwise."""
    packets = recorded(trace) if trace else []
    usual: dict[str, Any] = {
        "source": "lab",
        "target": "internet",
        "asked": "203.0.113.1",
        "protocol": "icmp",
        "port": 0,
        "came_from": first(packets[0]).source if packets else "10.66.1.254",
        "answer": SILENCE,
        "packets": packets,
        "route": "203.0.113.1 dev up0",
    }
    return Case(**{**usual, **known})


FORWARD = Forward("tcp", None, PortRange(4023, 4023), PortRange(22, 22), ip_address("10.66.1.10"), "lab")
THROUGH = Through(
    "web1", "internet", frozenset({"10.66.1.10"}), "203.0.113.2", "tcp", 4023, "198.19.255.2", (FORWARD,), running=True
)


def asked_by_forward(trace: str, **known: Any) -> Case:
    usual: dict[str, Any] = {
        "source": "internet",
        "target": "web1",
        "asked": "203.0.113.2",
        "protocol": "tcp",
        "port": 4023,
        "through": THROUGH,
        "own": True,
        "route": "10.66.1.10 dev virbr1",
        "names": {"10.66.1.10": "web1", "203.0.113.2": "the host"},
    }
    return case(trace, **{**usual, **known})


def test_the_way_out() -> None:
    found = explain(case("nat", answer=answer("answered", "203.0.113.1")))
    assert found.lines == [
        "virbr1       in: 10.66.1.254 -> 203.0.113.1",
        "route        203.0.113.1 dev up0",
        'libvirt\'s    ip filter LIBVIRT_FWO: iifname "virbr1" ip saddr 10.66.1.0/24 accept',
        "libvirt's    ip nat LIBVIRT_PRT: ip saddr 10.66.1.0/24 ip daddr != 10.66.1.0/24 masquerade",
        "up0          out: the host's own address -> 203.0.113.1",
        "203.0.113.1  answered",
    ]
    assert (found.reached, found.cause, found.todo, found.rule) == (True, "203.0.113.1 answered", "", None)


def test_the_way_in() -> None:
    found = explain(asked_by_forward("forward", answer=answer("answered", "203.0.113.2")))
    assert found.lines == [
        "gnprobe0           in: 198.19.255.2 -> 203.0.113.2, tcp 4023",
        "guestnet's         inet guestnet forwards_any: meta nfproto ipv4 meta l4proto { tcp, udp } dnat ip to "
        "meta l4proto . th dport map @any4 -> 10.66.1.10 port 22",
        "route              10.66.1.10 dev virbr1",
        "guestnet's         inet guestnet forward: meta nfproto ipv4 oifname @closed4 "
        "ct mark & 0x00002000 == 0x00002000 ct status dnat accept",
        "guestnet's         ip filter FORWARD: ct status dnat ct mark and 0x2000 == 0x2000 accept",
        "virbr1             out: 198.19.255.2 -> 10.66.1.10, tcp 22",
        "10.66.1.10 (web1)  answered",
    ]
    assert found.cause == "10.66.1.10 (web1) answered"


def test_the_way_in_over_ipv6() -> None:
    through = replace(THROUGH, addresses=frozenset({"fd00:66:1::10"}), asked="2001:db8:1::2")
    known = {"asked": "2001:db8:1::2", "through": through, "answer": answer("answered", "2001:db8:1::2")}
    found = explain(asked_by_forward("forward6", **known))
    assert found.reached
    assert found.hops[-2] == Hop("virbr1", "out: 2001:2:0:ffff::2 -> fd00:66:1::10, tcp 22")


RULES = [
    # trace, what is known, cause, to do, (owner's part of) the last hop
    ("foreign", {}, 'dropped by somebody\'s rule in table ip other, chain c: iifname "virbr1" drop',
     "remove that rule, or accept it before: nft list chain ip other c",
     'somebody\'s ip other c: iifname "virbr1" drop   <- dropped here'),
    ("isolated", {"source": "cell", "promise": "no", "reason": "isolated: nothing leaves the network"},
     "dropped by guestnet's rule in table inet guestnet, chain forward: iifname @isolated drop",
     "the file wants it so: isolated: nothing leaves the network",
     "guestnet's inet guestnet forward: iifname @isolated drop   <- dropped here"),
    ("isolated", {"promise": "yes", "drift": ("host: ~ firewall table",)},
     "dropped by guestnet's rule in table inet guestnet, chain forward: iifname @isolated drop",
     "the host differs from the file (host: ~ firewall table): guestnet apply", None),
    ("isolated", {"promise": "yes"},
     "dropped by guestnet's rule in table inet guestnet, chain forward: iifname @isolated drop",
     "the host is as the file says: see guestnet show", None),
    ("closed", {"asked": "10.66.1.10", "promise": "forwards", "reason": "only 4023/tcp -> web1:22"},
     "rejected by guestnet's rule in table inet guestnet, chain forward: "
     "meta nfproto ipv4 oifname @closed4 reject with icmpx admin-prohibited",
     "the file admits forwards, only 4023/tcp -> web1:22", None),
    ("reply", {}, 'the answer was dropped by somebody\'s rule in table ip other, chain c: iifname "up0" drop',
     "remove that rule, or accept it before: nft list chain ip other c",
     'somebody\'s (the answer) ip other c: iifname "up0" drop   <- dropped here'),
    ("bridged", {"source": "spare", "target": "spare", "asked": "169.254.93.157", "bridge": "br1"},
     "br_netfilter hands bridged packets to iptables' FORWARD, policy drop",
     "iptables -I FORWARD -i br1 -o br1 -j ACCEPT; or turn it off: sysctl -w net.bridge.bridge-nf-call-iptables=0",
     "iptables' ip filter FORWARD: policy drop   <- dropped here"),
]  # fmt: skip


@pytest.mark.parametrize(("trace", "known", "cause", "todo", "hop"), RULES)
def test_a_rule_decided(trace: str, known: dict[str, Any], cause: str, todo: str, hop: str | None) -> None:
    found = explain(case(trace, **known))
    assert (found.reached, found.cause, found.todo) == (False, cause, todo)
    assert found.rule is not None
    if hop is not None:
        assert str(found.hops[-1]) == hop


def test_bridged_packets_are_not_routed() -> None:
    found = explain(
        case("bridged", source="spare", target="spare", bridge="br1", route="169.254.93.157 via 203.0.113.1")
    )
    assert [hop.where for hop in found.hops] == ["br1", "iptables'"]


def test_a_network_with_an_uplink_of_its_own() -> None:
    """From a link of our own it is told as it is from there."""
    known = case("admit", source="internet", target="wan", promise="yes")
    assert explain(known).todo == "restart libvirtd, which makes its rules anew"
    assert explain(replace(known, uplink="up0")).todo == (
        "wan takes only what comes in through up0, and this came by a link of our own: measure with --from ssh:HOST"
    )


def network(text: str, name: str = "lab") -> Network | Lan:
    """One as the file has it."""
    spec = load_spec(f"networks: {{{name}: {{{text}}}}}", "test.yaml")
    world = drawn(spec)
    return world.networks[0] if world.networks else world.lans[0]


def ruled(rule: str, chain: str = "forward", table: str = "inet guestnet", **known: Any) -> Case:
    """Of a packet that this rule stopped on its way from virbr1 to up0, or where `known` says."""
    (sent, *_) = recorded("isolated")
    ways = f'iif "{known.pop("iif", "virbr1")}" oif "{known.pop("oif", "up0")}"'
    entry = replace(sent[-2], table=table, chain=chain, kind="packet", verdict="")
    entry = replace(entry, text=f"{ways} ip saddr 10.66.1.9 ip daddr {known.get('asked', '203.0.113.1')}")
    return case("isolated", **known, packets=[[sent[0], entry, Step("x", table, chain, "rule", rule, "drop")]])


NAT = "mode: nat, bridge: virbr1, ipv4: 10.66.1.1/24, ipv6: none"
DENIED = "iifname . ip daddr @denied4 reject with icmpx admin-prohibited"
LIBVIRTS = {"chain": "LIBVIRT_FWO", "table": "ip filter"}
WANTED = [
    (DENIED, {}, (f"{NAT}, egress: {{deny: [203.0.113.0/28]}}", ""), {"promise": "yes", "target": "203.0.113.1"},
     "egress of lab denies 203.0.113.0/28"),
    (DENIED, {}, (f"{NAT}, egress: {{deny: [203.0.113.1]}}", ""), {"promise": "yes"},
     "egress of lab denies 203.0.113.1; name another with --target"),
    (DENIED, {}, (f"{NAT}, egress: {{deny: [private]}}", ""),
     {"promise": "forwards", "reason": "only 22", "target": "dmz", "asked": "10.9.0.7"},
     "egress of lab denies 10.0.0.0/8"),
    ("drop", {"chain": "guarded"}, (f"{NAT}, host_access: services", ""), {}, "host_access of lab is services"),
    ("iifname @isolated drop", {}, ("mode: isolated", ""), {}, "lab is of mode isolated"),
    ("iifname . oifname @apart drop", {}, (f"{NAT}, guest_isolation: true", ""), {}, "guest_isolation of lab"),
    ("meta nfproto ipv4 oifname @closed4 reject with icmpx admin-prohibited", {}, ("", NAT), {},
     "inbound of dmz is closed for IPv4"),
    ('iifname "virbr1" reject', LIBVIRTS, (f"{NAT}, uplink: eth1", ""), {"promise": "yes"},
     "lab forwards through eth1 only"),
    ('oifname "virbr2" reject', LIBVIRTS,
     (NAT, "mode: routed, bridge: virbr2, ipv4: 10.9.0.1/24, uplink: eth1"),
     {"promise": "yes", "oif": "virbr2"}, "dmz takes only what comes in through eth1"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "where", "texts", "known", "key"), WANTED)
def test_which_key_of_the_file_wants_it(
    rule: str, where: dict[str, str], texts: tuple[str, str], known: dict[str, Any], key: str
) -> None:
    """It is never `guestnet apply` that would help, if the host is as the file says."""
    source, target = (network(text, name) if text else None for text, name in zip(texts, ("lab", "dmz"), strict=True))
    stopped = ruled(rule, **where, **known, between=(source, target))
    assert explain(stopped).todo == f"the file wants it so: {key}"
    differs = "the host differs from the file (host: ~ something else): guestnet apply"
    egress_or_uplink = "egress" in key or "eth1" in key
    found = explain(replace(stopped, drift=("host: ~ something else",)))
    assert found.todo == (f"the file wants it so: {key}" if egress_or_uplink else differs)


def test_a_rule_of_ours_that_no_key_wants() -> None:
    lab = network(NAT)
    found = explain(ruled(DENIED, between=(lab, None), promise="yes"))
    assert found.todo == "the host is as the file says: see guestnet show"
    found = explain(ruled(DENIED, between=(lab, None), promise="yes", drift=("host: ~ firewall table",)))
    assert found.todo == "the host differs from the file (host: ~ firewall table): guestnet apply"


BELOW = [
    ("mode: macvtap, interface: up0", "own", "host"),
    ("mode: macvtap, interface: up0", "host", "own"),
    ("mode: macvtap, interface: eth2, macvtap: private", "lonely", "lonely"),
]


@pytest.mark.parametrize(("text", "source", "target"), BELOW)
@pytest.mark.parametrize("said", [SILENCE, answer("nowhere", "", "No route to host")])
def test_what_the_kernel_passes_to_no_macvtap(text: str, source: str, target: str, said: dict[str, Any]) -> None:
    tap = network(text, "own")
    between = (tap if source != "host" else None, tap if target != "host" else None)
    known: dict[str, Any] = {"source": source, "target": target, "between": between}
    known |= {"promise": "no", "reason": "the kernel's limit"}
    found = explain(case(**known, answer=said, on_lan="up0" if target == "host" else ""))
    assert (found.reached, found.cause) == (False, "the kernel's limit")
    assert found.todo == "give the guests a second NIC in a nat or isolated network, or use mode bridge"
    assert explain(case("routed", **known, answer=said)).cause == "the kernel's limit", "by another NIC it came in"
    assert "rule in table ip other" in explain(case("reply", **known)).cause, "and a rule stopped the answer"
    assert explain(case(**known, answer=answer("refused", "203.0.113.1"))).cause != "the kernel's limit"
    assert explain(case(**{**known, "promise": "lan"}, answer=SILENCE, on_lan="up0")).cause != "the kernel's limit"


def test_the_admit_rule_is_missing() -> None:
    drift = ("host: + admit rule in iptables FORWARD",)
    found = explain(asked_by_forward("admit", drift=drift, promise="forwards", reason="only 4023"))
    assert found.cause == ('rejected by libvirt\'s rule in table ip filter, chain LIBVIRT_FWI: oifname "virbr1" reject')
    assert found.todo == "the host differs from the file (host: + admit rule in iptables FORWARD): guestnet apply"


OFF = case("off")
UNROUTED = [
    ({"off": "net.ipv4.ip_forward", "refusal": "no route to host"}, "forwarding is off (net.ipv4.ip_forward = 0)"),
    (
        {"route": "", "refusal": "network is unreachable"},
        "the host has no route to 203.0.113.1 (network is unreachable)",
    ),
    ({"strict": True, "refusal": "invalid argument"}, "the reverse path filter dropped it: 10.66.1.254 is not routed"),
    ({"refusal": "no route to host"}, "the kernel does not route what comes from there: no route to host"),
    ({"strict": True}, "the kernel did not pass it on, and no rule says why"),
    ({}, "the kernel did not pass it on, and no rule says why"),
]


@pytest.mark.parametrize(("change", "cause"), UNROUTED)
def test_it_came_in_and_went_no_further(change: dict[str, Any], cause: str) -> None:
    """No chain behind the routing decision saw it."""
    found = explain(replace(OFF, **change))
    assert not found.reached
    assert found.cause.startswith(cause)
    assert found.todo
    assert [hop.where for hop in found.hops] == ["virbr1", "route"], "nobody answers for it"
    if change.get("route") == "":
        assert found.hops[-1].what == "none: network is unreachable"
    elif change.get("refusal"):
        assert found.hops[-1].what.endswith(f"but not for what comes in here: {change['refusal']}")


BEYOND = [
    ("nat", {}, "it left the host as the host's own address, and no answer came back", "guestnet why host 203.0.113.1"),
    ("untranslated", {"nat": True}, "it left as 10.66.1.254, which nobody out there can answer", "restart libvirtd"),
    ("untranslated", {}, "it left as 10.66.1.254, which nobody out there can answer", "use mode nat"),
    ("nat", {"target": "dmz", "names": {"203.0.113.1": "r"}}, "it was passed on to 203.0.113.1 (r), and no answer",
     "the guest's own firewall"),
    ("nat", {"neighbour": False}, "it was passed on, and nobody has 203.0.113.1 there", "is the guest on"),
    ("nat", {"stopped": True, "target": "web1"}, "guest web1 does not run", "virsh start web1"),
]  # fmt: skip


@pytest.mark.parametrize(("trace", "known", "cause", "todo"), BEYOND)
def test_it_went_on_and_silence_came_back(trace: str, known: dict[str, Any], cause: str, todo: str) -> None:
    found = explain(replace(case(trace, **known), packets=recorded(trace)[:1]))
    assert not found.reached
    assert found.cause.startswith(cause)
    assert todo in found.todo
    assert found.hops[-1].what in ("no answer", "nobody has this address")


def test_the_router_upstream() -> None:
    packets = recorded("routed")
    sent = replace(case("routed"), came_from="198.51.100.126", source="dmz")
    found = explain(replace(sent, packets=packets[:1]))
    assert found.cause == "it left the host as 198.51.100.126, and no answer came back"
    assert found.todo == "does the router upstream have a route to 198.51.100.126?"
    found = explain(sent)
    assert found.cause == "the answer came back to the host and did not reach the asker"


def test_a_private_network_that_a_router_upstream_translates() -> None:
    packets = recorded("untranslated")[:1]
    found = explain(replace(case("untranslated", promise="yes"), packets=packets))
    assert found.cause == "it left the host as 10.66.1.254, and no answer came back"
    assert found.todo == "does the router upstream have a route to 10.66.1.254?"


@pytest.mark.parametrize(
    ("prefix", "inside", "outside"),
    [
        ("prefix: uplink, ndp_proxy: true", "2001:db8::f:10", "2001:db8::f:10"),
        ("prefix: translate", "fd00:1::10", "2001:db8::10"),
    ],
)
def test_a_guest_that_shares_the_uplinks_prefix(prefix: str, inside: str, outside: str) -> None:
    """Nobody has a route to it: the router asks on the link."""
    shares = network(f"mode: nat, uplink: up0, ipv6: {{{prefix}}}")
    packets = [[replace(step, text=step.text.replace("10.66.1.254", inside)) for step in recorded("untranslated")[0]]]
    known = {"came_from": inside, "promise": "yes", "between": (shares, None)}
    found = explain(replace(case("untranslated", **known), packets=packets))
    assert found.cause == f"it left the host as {inside}, and no answer came back"
    assert f"outside it is {outside}: does the router ask for it on up0, and does the host answer" in found.todo
    assert "Providers may drop what they have not given out" in found.todo


def test_the_guests_own_firewall() -> None:
    packets = recorded("forward")[:1]
    found = explain(replace(asked_by_forward("forward"), packets=packets))
    assert found.cause == "it was passed on to 10.66.1.10 (web1), and no answer came back"
    assert "the guest's own firewall" in found.todo
    found = explain(
        replace(asked_by_forward("forward", answer=answer("rejected", "203.0.113.2", "no")), packets=packets)
    )
    assert found.cause == "203.0.113.2 (the host) rejected it: no"
    found = explain(replace(asked_by_forward("forward", answer=answer("refused", "203.0.113.2")), packets=packets))
    assert found.cause == "it arrived at 10.66.1.10 (web1), and nothing listens on tcp 4023 there"


def test_the_old_iptables_may_have_stopped_it() -> None:
    """No trace shows it, so nothing is said to have left the host."""
    seen = "FORWARD of iptables-legacy drops by its policy: forwards and what guests send end there"
    packets = recorded("forward")[:1]
    found = explain(replace(asked_by_forward("forward"), packets=packets, legacy=seen))
    assert found.cause == f"no answer came, and no rule that a trace shows stopped it; {seen}"
    assert not any(hop.what.startswith("out:") for hop in found.hops)
    assert Hop("others'", f"{seen}; no trace shows it") in found.hops
    said = answer("answered", "203.0.113.2")
    assert explain(replace(asked_by_forward("forward", answer=said), legacy=seen)).reached, "it did not"


UNSEEN = [
    ({"isolated": True, "promise": "no", "reason": "guest_isolation"}, SILENCE, "guest_isolation: the bridge passes"),
    ({"neighbour": False}, SILENCE, "nobody in the network has 203.0.113.1"),
    ({"neighbour": False, "stopped": True, "target": "web1"}, SILENCE, "guest web1 does not run"),
    ({}, SILENCE, "it stayed inside the network's bridge, and 203.0.113.1 did not answer"),
    ({"on_lan": "eth2"}, SILENCE, "it went over eth2 to the LAN, past all rules of this host, and was not answered"),
    ({"on_lan": "eth2"}, answer("rejected", "203.0.113.9"),
     "it went over eth2 to the LAN, past all rules of this host, and was rejected by 203.0.113.9"),
    ({}, answer("rejected", "203.0.113.9"), "the packet was not seen on this host"),
    ({}, answer("nowhere", "", "No route to host"), "lab could not send it: No route to host"),
    ({}, answer("refused", "203.0.113.1"), "it arrived at 203.0.113.1, and nothing listens on icmp there"),
]  # fmt: skip


@pytest.mark.parametrize(("known", "said", "cause"), UNSEEN)
def test_no_rule_of_the_host_saw_it(known: dict[str, Any], said: dict[str, Any], cause: str) -> None:
    unseen = Hop("virbr1", "passes through the bridge, where no rule of the host sees it")
    found = explain(case(**known, answer=said, unseen=unseen))
    assert not found.reached
    assert found.cause.startswith(cause)
    assert found.todo
    assert (unseen in found.hops) == (said["outcome"] != "nowhere")


def test_who_stands_for_many_may_refuse() -> None:
    found = explain(case("nat", answer=answer("refused", "203.0.113.1"), stands_for=True, protocol="tcp", port=443))
    assert found.reached
    assert found.cause == "it arrived: 203.0.113.1 itself says that nobody listens on tcp 443"


def test_nobody_listens_on_the_host() -> None:
    known = {"asked": "203.0.113.2", "own": True, "through": None, "target": "host", "port": 8080}
    found = explain(asked_by_forward("refused", answer=answer("refused", "203.0.113.2"), **known))
    assert found.cause == "it arrived at the host, and nothing listens on tcp 8080 of 203.0.113.2"
    assert found.todo == "start the service"
    found = explain(asked_by_forward("refused", **known))
    assert found.cause == "it arrived at the host, and nothing answered for 203.0.113.2"


REFUSED, ANSWERED = answer("refused", "203.0.113.2"), answer("answered", "203.0.113.2")
FROM = replace(FORWARD, ports=PortRange(8080, 8080), source=ip_network("198.51.100.0/24"))
HERE = "; it arrived at the host, where nothing listens on tcp 8080"
ASTRAY = [
    (replace(THROUGH, port=8080, forwards=()), REFUSED, f"the host forwards no 8080/tcp to web1{HERE}",
     'to reach its port 8080, write at guest web1 in the file, and apply: forwards: ["8080"]'),
    (replace(THROUGH, port=8080), ANSWERED, "the host forwards no 8080/tcp to web1; the host itself answered",
     "it has 4023/tcp -> 22"),
    (replace(THROUGH, port=22), REFUSED, "the host forwards no 22/tcp to web1",
     "its port 22 is forwarded from the host's 4023: guestnet why internet web1 4023"),
    (replace(THROUGH, port=8080, protocol="udp"), REFUSED, "the host forwards no 8080/udp to web1", '["8080/udp"]'),
    (replace(THROUGH, port=8080, forwards=(FROM,)), REFUSED,
     f"8080/tcp is forwarded to web1 only for 198.51.100.0/24, and 198.19.255.2 asked{HERE}", "change `from`"),
    (replace(THROUGH, port=8080, forwards=(replace(FORWARD, ports=PortRange(8080, 8080)),), running=False), REFUSED,
     f"web1 does not run, so its forward 8080/tcp -> 22 waits{HERE}", "virsh start web1"),
    (replace(THROUGH, port=8080, forwards=(replace(FORWARD, ports=PortRange(8080, 8080)),), running=None), REFUSED,
     f"web1 is not defined in libvirt, so its forward 8080/tcp -> 22 waits{HERE}", "virsh start web1"),
    (replace(THROUGH, port=8080, forwards=(replace(FORWARD, ports=PortRange(8080, 8080), listen="up0"),)), REFUSED,
     "up0:8080/tcp -> 22 is only for what comes in through up0, and this came by a link of our own", "out there"),
    (replace(THROUGH, port=8080, forwards=(replace(FORWARD, ports=PortRange(8080, 8080)),)), REFUSED,
     f"web1's forward 8080/tcp -> 22 is not in force{HERE}", "guestnet apply"),
    (replace(THROUGH, port=8080, made=True), REFUSED,
     f"no rule translated it, though a forward was made for it{HERE}", "guestnet apply"),
]  # fmt: skip


@pytest.mark.parametrize(("through", "said", "cause", "todo"), ASTRAY)
def test_no_forward_took_it(through: Through, said: dict[str, Any], cause: str, todo: str) -> None:
    found = explain(asked_by_forward("refused", through=through, port=8080, answer=said))
    assert not found.reached, "also when the host itself answered"
    assert found.cause.startswith(cause)
    assert todo in found.todo
    assert found.hops[1].where == "guestnet's"
    assert f"no forward takes {through.protocol} {through.port}" in found.hops[1].what


def test_our_table_is_missing() -> None:
    kept = [
        step for step in recorded("refused")[0] if not step.table.startswith("inet guestnet") or "trace" in step.table
    ]
    known = asked_by_forward("refused", answer=REFUSED, drift=("host: + firewall table inet guestnet",))
    found = explain(replace(known, packets=[kept]))
    assert found.hops[1].what == "there is no table inet guestnet: nothing is forwarded"
    assert found.todo == "the host differs from the file (host: + firewall table inet guestnet): guestnet apply"


def test_another_guest_has_the_port() -> None:
    other = replace(THROUGH, name="web2", addresses=frozenset({"10.66.1.11"}), names={"10.66.1.10": "web1"})
    found = explain(asked_by_forward("forward", through=other, answer=ANSWERED))
    assert (found.reached, found.cause) == (False, "4023/tcp of 203.0.113.2 is forwarded to web1, not to web2")


def test_what_should_not_have_come_through() -> None:
    sent = case(
        "nat", answer=answer("answered", "203.0.113.1"), promise="no", reason="isolated", drift=("host: + table",)
    )
    found = explain(sent)
    assert found.reached
    assert (
        found.todo
        == "by the file it should not (isolated); the host differs from the file (host: + table): guestnet apply"
    )
    assert let_through(sent, found) == Followed(
        "",
        "by libvirt's rule in ip nat LIBVIRT_PRT: ip saddr 10.66.1.0/24 ip daddr != 10.66.1.0/24 masquerade; "
        "the host is not as the file says: host: + table",
        "guestnet apply",
    )
    bare = case(answer=answer("answered", "203.0.113.1"))
    assert let_through(bare, explain(bare)) == Followed(
        "", "no rule stopped it", "guestnet why lab internet shows its way"
    )
    on_lan = replace(bare, between=(network("mode: macvtap, interface: up0"), None))
    assert let_through(on_lan, explain(on_lan)).todo == "guestnet why lab internet --lan shows its way"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("203.0.113.1 from 10.66.1.254 dev up0 \n    cache iif virbr1 \n", "203.0.113.1 dev up0"),
        ("1.2.3.4 from 10.66.1.9 via 203.0.113.1 dev up0 \n    cache iif virbr1", "1.2.3.4 via 203.0.113.1 dev up0"),
        ("local 10.66.1.1 from 10.66.1.254 dev lo \n    cache <local> iif virbr1", "10.66.1.1 is the host's own"),
        ("2001:db8:1::1 from fd00::7 dev up0 proto kernel metric 256 iif virbr1 pref medium", "2001:db8:1::1 dev up0"),
        ("203.0.113.1 dev up0 src 203.0.113.2 uid 0 \n    cache", "203.0.113.1 dev up0 src 203.0.113.2"),
        ("1.2.3.4 dev tun0 table 52 src 10.8.0.2 uid 0", "1.2.3.4 dev tun0 table 52 src 10.8.0.2"),
        ("", ""),
    ],
)
def test_a_route_as_a_hop(said: str, shown: str) -> None:
    assert route_text(said) == shown
