"""Rules of a forwarding host, to compare: one literal DNAT rule, guestnet's table, and iptables as hooks write it."""

from __future__ import annotations

from ipaddress import ip_address

from bench import world
from bench.roads import GUEST4, GUEST6, Ports, Rules
from guestnet.compile import nft, ruleset
from guestnet.compile.chains import MARK
from lab.host import IPV4, IPV6, Host

PORT, GUEST_PORT, RANGE_PORT = 40_000, 1001, 45_000
EACH = 100  # forwards a guest has, with the iptables rules
RANGES = "'41000-50999', '52000-52999', '53000-53999', '55000-55999'"  # to the same ports: each is one element
FLOOR = f"""\
table inet floor {{
	chain prerouting {{
		type nat hook prerouting priority dstnat
		tcp dport {PORT} ct mark set ct mark or {MARK:#x} dnat ip to {GUEST4}:{GUEST_PORT}
		tcp dport {PORT} ct mark set ct mark or {MARK:#x} dnat ip6 to [{GUEST6}]:{GUEST_PORT}
	}}
}}
"""


def floor(host: Host) -> Ports:
    """One literal rule a family, admitted as guestnet's are. The least that anybody could do."""
    host.write("/run/floor.nft", FLOOR)
    host.run(["nft", "-f", "/run/floor.nft"])
    _close(host)
    for program in ("iptables", "ip6tables"):
        host.run([program, "-I", "FORWARD", *ruleset.admit_rule()])
    return PORT, GUEST_PORT


def guestnet(forwards: int, ranges: str = "", ports: Ports = (PORT, GUEST_PORT)) -> Rules:
    """The product's table with so many forwards in each family, and `ranges` of another guest."""
    guest = f"network: lab, ipv4: {GUEST4}, ipv6: '{GUEST6}'"
    mine = f"'{PORT}:{GUEST_PORT}'" if ports[0] == PORT else RANGES
    text = world.spec_text((), forwards - 1) + f"  last: {{{guest}, forwards: [{mine}]}}\n"
    if ranges:
        text += f"  ranges: {{network: lab, forwards: [{ranges}]}}\n"

    def rules(host: Host) -> Ports:
        made = world.made(text)
        world.install(host, made)
        found = ruleset.merge(ruleset.elements(guest.forwards) for guest in made.guests)
        host.write("/run/elements.nft", nft.add_elements(found))
        host.run(["nft", "-f", "/run/elements.nft"])
        _close(host)
        return ports

    return rules


def iptables(forwards: int) -> Rules:
    """Rules in the shape in which the hooks of libvirt-hook-qemu write them: three chains a guest, put in at the top;
    ours is the last forward of the guest that started first."""

    def rules(host: Host) -> Ports:
        for program, asked, own in (("iptables", IPV4, GUEST4), ("ip6tables", IPV6, GUEST6)):
            host.run([f"{program}-restore"], input=iptables_text(forwards, asked, own))
        _close(host)
        return PORT, GUEST_PORT

    return rules


def iptables_text(forwards: int, asked: str, own: str) -> str:
    """For `iptables-restore`: forwards of `asked`, the last of them PORT to `own`, the others to other guests."""
    nat, snat, admit, calls = [], [], [], []
    for begin in range(0, forwards, EACH):
        name = begin // EACH
        target = own if begin + EACH >= forwards else str(ip_address(own) + 10 + name)
        calls.append((name, target))
        for number in range(begin, min(begin + EACH, forwards)):
            last = number == forwards - 1
            port, to = (PORT, GUEST_PORT) if last else (world.FIRST_OTHER + number, world.FIRST_OTHER + number)
            end = f"[{target}]:{to}" if ":" in target else f"{target}:{to}"
            nat.append(f"-A DNAT-{name} -d {asked} -p tcp --dport {port} -j DNAT --to-destination {end}")
            snat.append(f"-A SNAT-{name} -s {target} -p tcp --dport {to} -j SNAT --to-source {asked}")
            snat.append(f"-A SNAT-{name} -s {target} -d {target} -p tcp --dport {port} -j MASQUERADE")
            admit.append(f"-A FWD-{name} -d {target} -o virbr84 -p tcp --dport {to} -j ACCEPT")
    return "\n".join(
        [
            "*nat",
            *(f":{kind}-{name} -" for name, _ in calls for kind in ("DNAT", "SNAT")),
            *nat,
            *snat,
            *(f"-A PREROUTING -d {asked} -j DNAT-{name}" for name, _ in calls),
            *(f"-A POSTROUTING -s {target} -d {target} -j SNAT-{name}" for name, target in calls),
            "COMMIT",
            "*filter",
            *(f":FWD-{name} -" for name, _ in calls),
            *admit,
            *(f"-A FORWARD -d {target} -j FWD-{name}" for name, target in calls),
            # As libvirt has it, for what is known.
            "-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
            "COMMIT\n",
        ]
    )


def _close(host: Host) -> None:
    """What no rule admits is dropped, as libvirt rejects it."""
    for program in ("iptables", "ip6tables"):
        host.run([program, "-P", "FORWARD", "DROP"])


RANGED = "guestnet, in a range"


def contestants(forwards: int) -> dict[str, Rules]:
    """The first is the floor, the second says how far apart two are that are alike."""
    return {
        "one DNAT rule": floor,
        "one DNAT rule, again": floor,
        "guestnet, 1": guestnet(1),
        f"guestnet, {forwards}": guestnet(forwards),
        f"guestnet, {forwards} beside ranges": guestnet(forwards, RANGES),
        RANGED: guestnet(forwards, ports=(RANGE_PORT, RANGE_PORT)),
        "iptables rules, 1": iptables(1),
        f"iptables rules, {forwards}": iptables(forwards),
    }
