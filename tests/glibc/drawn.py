"""Random cases in the shape of tests/data/address-selection.json: a host, and several questions that it is asked.

Only what a real namespace can be made to have; and no line of gai.conf whose meaning glibc leaves undefined.
"""

from __future__ import annotations

from ipaddress import ip_interface
from random import Random
from typing import Any

QUESTIONS = 10  # of one host
SMALL = 2  # a subnet without room for a gateway


def _words(text: str) -> list[str]:
    return text.split()


TABLE = """label ::1/128       0
label ::/0          1
label 2002::/16     2
label ::/96         3
label ::ffff:0:0/96 4
label fec0::/10     5
label fc00::/7      6
label 2001:0::/32   7
"""
V4 = _words(
    "192.168.122.154/24 192.168.122.155/24 192.168.122.7/25 10.0.0.5/8 10.0.0.9/24 10.9.9.1/32 172.16.3.4/12 "
    "203.0.113.9/24 169.254.7.7/16 100.64.1.1/10 198.51.100.4/31 192.0.2.77/30 198.18.0.1/15"
)
V6 = _words(
    "fd12:8848:a2a2:1::74/64 fd12:8848:a2a2:2::74/64 fdcc:1:1:1::74/64 fdcc:1:1:1::75/128 fc00:5::9/48 "
    "2001:db8:77:1::74/64 2001:db8:77:1::75/128 2001:db8:1::2/64 2a01:4f8:c0c::9/32 2002:c000:204::1/48"
    " 2001:0:53aa:64c::2/32 fe80::5054:ff:fe12:3456/64 fec0::5/64 3ffe:1::1/64 2001:10::7/28 2620:0:1::1/44"
)
DESTS4 = _words(
    "49.12.234.183 8.8.8.8 192.168.122.9 192.168.122.130 192.168.123.9 10.0.0.77 10.5.5.5 10.9.9.77 172.17.1.1 "
    "203.0.113.77 169.254.1.1 127.0.0.1 127.5.5.5 198.51.100.5 192.0.2.78 100.64.9.9"
)
ODD4 = _words("0.0.0.0 255.255.255.255 192.168.122.255 10.255.255.255 192.168.122.0 224.0.0.5 239.1.1.1 240.0.0.1")
DESTS6 = _words(
    "2a01:4f8:c0c:bd0a::1 2a01:4f8::1 2001:db8:77:1::99 2001:db8:77:2::1 2001:db8:78::1 2001:db8:1::9 "
    "fd12:8848:a2a2:1::9 fd12:8848:a2a2:2::5 fdaa:bbbb:cccc::5 fdcc:1:1:9::1 fc00:5::1 2002:c633:6409::1 "
    "2001:0:53aa::9 3ffe::1 fec0::1 ::1 2606:4700::1111"
)
ODD6 = _words("fe80::1 ff02::1 ff0e::1 ff05::2 :: ::5.6.7.8 ::ffff:8.8.8.8 ::ffff:192.168.122.9 2001:10::1 100::1")


ROUTED = _words("2000::/3 ::/1 2a01::/16 fd00::/8 2001:db8::/31 49.0.0.0/8 128.0.0.0/1 10.0.0.0/7 192.168.0.0/15")


def drawn(seed: int, number: int) -> list[dict[str, Any]]:
    """The questions to host `number`: cases that differ in what is asked, not in their host."""
    rng = Random(f"{seed}/{number}")  # noqa: S311  it must be the same again
    host = _host(rng)
    own = [address.partition("/")[0] for link in host["ifaces"] for address in map(_plain, link["addrs"])]
    return [{**host, **_question(rng, own, host)} for _ in range(QUESTIONS)]


def _host(rng: Random) -> dict[str, Any]:
    six = rng.random() < 0.95
    pools = rng.sample(V4, len(V4)), (rng.sample(V6, len(V6)) if six else [])
    count = rng.choice((1, 1, 1, 2, 2, 3))
    links = [_link(rng, i, pools) for i in range(count)]
    near = [ip_interface(one).network for one in links[0]["addrs"] if isinstance(one, str) and "." in one]
    gateways = [str(net[1]) for net in near if net.num_addresses > SMALL]
    host: dict[str, Any] = {
        "ifaces": links,
        "default4": rng.random() < 0.8 and (rng.choice(gateways) if gateways and rng.random() < 0.3 else True),
        "default6": six and rng.random() < 0.8 and rng.choice(("fe80::1", True, True)),
        "routes": [
            line
            for prefix in rng.sample(ROUTED, rng.choice((0, 0, 0, 1, 2)))
            if (line := _route(rng, links, prefix, six))
        ],
        "lo": rng.random() < 0.95,
        "disable_ipv6": not six,
        "addrlabel": _labels(rng) if six and rng.random() < 0.15 else [],
    }
    sysctl = {
        f"net.ipv6.conf.{where}.{name}": "1"
        for where in ("all", "eth0")
        for name in ("use_oif_addrs_only", "use_optimistic")
        if six and rng.random() < 0.03
    }
    return host | {"sysctl": sysctl}


def _link(rng: Random, i: int, pools: tuple[list[str], list[str]]) -> dict[str, Any]:
    link: dict[str, Any] = {"name": f"eth{i}", "kind": "veth", "up": i == 0 or rng.random() < 0.9}
    if i and rng.random() < 0.3:
        link |= {"name": f"tun{i}", "kind": "tun", "arphrd": rng.choice((65534, 768, 769, 776))}
    elif rng.random() < 0.1:
        link |= {"kind": "bridge"}
    if rng.random() < 0.05:  # the same address on several NICs
        pools = pools[0][-2:], pools[1][-2:]
    addresses: list[Any] = [pools[0].pop() for _ in range(min(len(pools[0]), rng.choice((0, 1, 1, 1, 2))))]
    addresses += [pools[1].pop() for _ in range(min(len(pools[1]), rng.choice((0, 1, 1, 2, 3, 4))))]
    rng.shuffle(addresses)
    if not link["up"]:
        addresses = [one for one in addresses if "." in one]  # IPv6 addresses go when a link is taken down
    flagged = [_flagged(rng, one) for one in addresses]
    if link["kind"] == "tun":  # where the kernel ends that state by itself, some time later
        flagged = [one["addr"] if isinstance(one, dict) and "tentative" in one else one for one in flagged]
    return link | {"addrs": flagged}


def _flagged(rng: Random, address: str) -> Any:
    chance = rng.random()
    if chance < 0.08:
        return {"addr": address, "deprecated": True}
    if ":" in address:
        for limit, flags in ((0.13, ["home"]), (0.16, ["tentative"]), (0.19, ["tentative", "optimistic"])):
            if chance < limit:
                return {"addr": address, **dict.fromkeys(flags, True)}
    elif chance < 0.15:
        return {"addr": address.partition("/")[0] + "/32", "peer": rng.choice(("10.9.9.2/24", "10.77.0.1/32"))}
    return address


def _plain(address: Any) -> str:
    return str(address["addr"]) if isinstance(address, dict) else str(address)


def _route(rng: Random, links: list[dict[str, Any]], prefix: str, six: bool) -> str:
    if not six and ":" in prefix:
        return ""
    if rng.random() < 0.3:
        return f"{rng.choice(('unreachable', 'blackhole', 'prohibit'))} {prefix}"
    link = rng.choice(links)
    sure = [one for one in link["addrs"] if isinstance(one, str)]
    fit = [one.partition("/")[0] for one in sure if (":" in one) == (":" in prefix)]
    source = f" src {rng.choice(fit)}" if fit and rng.random() < 0.3 else ""
    return f"{prefix} dev {link['name']}{source}" if link["up"] else ""


def _labels(rng: Random) -> list[str]:
    prefixes = rng.sample(_words("2a01::/16 fd12:8848:a2a2::/48 2001:db8::/32 fdcc::/16 2000::/3"), 2)
    return [f"prefix {prefix} label {rng.choice((1, 5, 55))}" for prefix in prefixes]


def _question(rng: Random, own: list[str], host: dict[str, Any]) -> dict[str, Any]:
    pool = [*DESTS4, *DESTS6, *own]
    dests = rng.sample(pool, rng.randint(2, 7))
    if rng.random() < 0.3:
        dests += rng.sample([*ODD4, *ODD6], rng.randint(1, 3))
    if len(host["ifaces"]) > 1:  # which NIC is multicast's is a matter of a hash that differs each time
        dests = [dest for dest in dests if not dest.startswith(("ff0e", "ff05"))]
    dests = list(dict.fromkeys(dests))
    rng.shuffle(dests)
    return {
        "gai_conf": _gai_conf(rng),
        "dests": dests,
        "via": "dns" if host["lo"] and rng.random() < 0.3 else "hosts",
        "addrconfig": rng.random() < 0.1,
    }


def _gai_conf(rng: Random) -> str | None:
    kind = rng.random()
    if kind < 0.25:
        return None
    lines = TABLE.splitlines() if kind < 0.6 else []
    lines += [_line(rng) for _ in range(rng.choice((1, 1, 2, 3, 6)))]
    if rng.random() < 0.3:
        rng.shuffle(lines)
    return "\n".join(lines) + rng.choice(("\n", ""))


PREFIXES = _words(
    "fd00::/8 fd12:8848:a2a2::/48 fd12:8848:a2a2:1::74/48 fc00::/7 ::/0 ::/ 2001:db8::/32 2a01:4f8:c0c:bd0a::1/128 "
    "::ffff:0:0/96 ::ffff:192.168.0.0/112 ::ffff:49.12.234.183/128 2002::/16 2000::/3 ::/96 ::1/128 fe80::/10 "
    "fd00::/+8 fd00::/-8 fd00::/129 fd00::/8x 0::00/0 fd00::1::/8 10.0.0.0/8 2001:db8:77:1::/63 ff00::/8"
)
VALUES = ["", *_words("0 1 1 1 4 6 10 35 40 40 40 50 100 2147483647 2147483648 -1 +5 0x10 99999999999999999999 1x")]
SCOPED = _words(
    "192.168.0.0/16 10.0.0.0/8 169.254.0.0/16 0.0.0.0/0 49.12.234.183/32 ::ffff:10.0.0.0/104 ::ffff:0:0/96 "
    "127.0.0.0/8 192.168.122.0/33 fd00::/8 ::ffff:0.0.0.0/95 1.2.3/8 010.0.0.0/8 172.16.0.0/12"
)


def _line(rng: Random) -> str:
    chance = rng.random()
    if chance < 0.45:
        line = f"label {rng.choice(PREFIXES)} {rng.choice(VALUES)}"
    elif chance < 0.75:
        line = f"precedence {rng.choice(PREFIXES)} {rng.choice(VALUES)}"
    elif chance < 0.9:
        line = f"scopev4 {rng.choice(SCOPED)} {rng.choice(('2', '5', '14', '0', '8', '', 'x'))}"
    else:
        line = rng.choice(
            ("reload yes", "label", "precedence ", "Label fd00::/8 1", "\ufefflabel fd00::/8 1", "# label fd00::/8 1")
        )
    for old, new, odds in ((" ", "\t", 0.1), (" ", "  \v", 0.05), ("/", "/0", 0.05), ("\n", "\r\n", 0.1)):
        if rng.random() < odds:
            line = line.replace(old, new)
    tail = rng.choice(("", "", "", " # x", "#x", " rest of it", "\r", "\0junk", " \u00e9"))
    return rng.choice(("", "", "  ", "\t")) + line + tail
