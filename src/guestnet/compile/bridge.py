"""Lines for `ip -batch` that make a bridge over one NIC, or bring one into shape. apply and the hook use the same."""

from __future__ import annotations

from collections.abc import Iterable

from guestnet.spec.world import Lan

MARK = "guestnet 1 "  # begins the alias of a bridge that we made; its NIC follows
USUAL_MTU = 1500
# 400 hundredths of a second is what STP listens, and learns, at least (IEEE 802.1D allows 4 to 30 s).
_STP, _NO_STP = ("stp_state 1 forward_delay 400",), ("stp_state 0", "forward_delay 0")


def lines(name: str, port: str, mac: str, *, stp: bool, mtu: int | None) -> list[str]:
    """What the bridge shall be, once it is there; guests that are plugged in stay so."""
    return [
        *new(name, port)[1:],
        # The kernel takes no delay of 0 while STP is on (br_set_forward_delay), and of one line the delay comes first.
        *(f"link set {name} type bridge {one}" for one in (_STP if stp else _NO_STP)),
        f"link set {port} mtu {mtu or USUAL_MTU}",
        f"link set {port} master {name}",
        f"link set {port} up",
        f"link set {name} address {mac}",
        f"link set {name} mtu {mtu or USUAL_MTU}",
        f"link set {name} up",
    ]


def new(name: str, port: str) -> list[str]:
    """The bridge, with the mark that tells it from others' from its first moment."""
    return [f"link add {name} type bridge", f'link set {name} alias "{MARK}{port}"']


def silent(name: str) -> str:
    """The sysctl, to be 1 before the bridge is up: the host itself is not on this LAN, so it takes no address from
    advertisements there, and no route. (`addrgenmode none` keeps it from link-local addresses only.)"""
    return f"net/ipv6/conf/{name}/disable_ipv6"


def hook_file(lans: Iterable[Lan]) -> str:
    """For the hook, which makes what is missing, as after a boot: bridge, NIC and a line for ip, each."""
    found = []
    for lan in lans:
        if lan.bridge and lan.interface and lan.mac:
            its = [
                new(lan.bridge, lan.interface)[0],
                *lines(lan.bridge, lan.interface, lan.mac, stp=lan.stp, mtu=lan.mtu),
            ]
            found += [f"{lan.bridge} {lan.interface} {line}\n" for line in its]
    return "".join(found)
