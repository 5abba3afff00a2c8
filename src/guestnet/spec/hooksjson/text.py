"""The file that is made: YAML as a person writes it, with a comment at each guess."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address

from guestnet.spec import forwards as words
from guestnet.spec.document import core_scalar
from guestnet.spec.hooksjson.forwards import Forward
from guestnet.spec.hooksjson.networks import LIBVIRTS_OWN, Network, Nic
from guestnet.words.addresses import network_text
from guestnet.words.problems import Problem

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./:+-]*[A-Za-z0-9_]|[A-Za-z0-9]", re.ASCII)
_TRUTH_ELSEWHERE = ("y", "n", "yes", "no", "on", "off")  # to readers of YAML 1.1

_TOP = """\
Made by `guestnet init` from {file}. What is a guess says so: correct it, then `guestnet check`.

The hook listened on one address: the public one written there, else that of the NIC with the default route. Where
none was written, forwards here listen on every address of the host; 192.0.2.1:8080:80 listens on one."""
_ALL_IPV4 = """\
The hook forwarded IPv4 only, and so does this file. With `ipv6: auto` for `none` a network has IPv6, and its forwards
are open by IPv6 too, but for those with `from` or an address to listen on; `family: ipv4` keeps one as it is."""
_SOME_IPV4 = """\
Where the hook forwarded IPv4 only, a forward has `family: ipv4`: delete it, and it is open by IPv6 as well. A network
with `ipv6: none` has no IPv6 in the hook's file: `auto` gives it IPv6, and opens its forwards by IPv6 as well."""
_MADE_OTHERWISE = "Not carried over, or not as it was:"


def yaml_text(
    file: str, networks: Sequence[Network], forwards: dict[str, list[Forward]], notes: Sequence[Problem]
) -> str:
    lines = [*_top(file, networks, notes), "networks:"]
    for network in networks:
        lines += _network(network)
    lines.append("guests:")
    guests: dict[str, list[tuple[Network, Nic]]] = {}
    for network in networks:
        for nic in network.nics:
            guests.setdefault(nic.guest, []).append((network, nic))
    for guest, nics in guests.items():
        lines += _guest(guest, nics, forwards.get(guest, []))
    return "".join(f"{line}\n" for line in lines)


def _top(file: str, networks: Sequence[Network], notes: Sequence[Problem]) -> Iterator[str]:
    paragraphs = [_TOP.format(file=file), _SOME_IPV4 if any(net.ipv6 for net in networks) else _ALL_IPV4]
    if notes:
        paragraphs.append("\n".join([_MADE_OTHERWISE, *(f"  {note}" for note in notes)]))
    for line in "\n\n".join(paragraphs).split("\n"):
        yield f"# {line}".rstrip()


def _network(network: Network) -> Iterator[str]:
    if (network.name, network.bridge) == LIBVIRTS_OWN:
        named = "libvirt's own network has that bridge"
    else:
        named = "virsh net-list --all shows what libvirt calls it"
    yield f"  {_text(network.name)}:  # a guess: {named}"
    yield "    mode: nat  # a guess: behind such a hook it nearly always is"
    if network.bridge:
        yield f"    bridge: {_text(network.bridge)}" + ("" if network.named else "  # a guess: by the addresses")
    else:
        yield "    # bridge: the file does not name it; left out, guestnet chooses one"
    show = network.bridge or "BRIDGE"
    around = "the usual size" if network.ipv4.network.prefixlen == 24 else "what fits"  # noqa: PLR2004  a /24
    yield f"    ipv4: {network.ipv4}  # a guess: {around} around the guests; see: ip -4 address show {show}"
    if network.ipv6:
        yield f"    ipv6: {network.ipv6}  # a guess, likewise; see: ip -6 address show {show}"
    else:
        yield "    ipv6: none  # auto gives it IPv6"


def _guest(name: str, nics: Sequence[tuple[Network, Nic]], forwards: Sequence[Forward]) -> Iterator[str]:
    yield f"  {_text(name)}:"
    if len(nics) == 1:
        yield from (f"    {line}" for line in _nic(*nics[0]))
    else:
        yield "    nics:"
        for network, nic in nics:
            first, *rest = _nic(network, nic)
            yield f"      - {first}"
            yield from (f"        {line}" for line in rest)
    if forwards:
        yield "    forwards:"
    ipv6 = {network.name for network, _ in nics if network.ipv6}
    for forward in forwards:
        other = forward.network if forward.network != nics[0][0].name else None
        remark = f"  # {forward.remark}" if forward.remark else ""
        yield f"      - {_forward(forward, other, forward.network in ipv6)}{remark}"


def _nic(network: Network, nic: Nic) -> Iterator[str]:
    yield f"network: {_text(network.name)}"
    yield f"ipv4: {nic.ipv4}"
    if nic.ipv6:
        yield f"ipv6: {nic.ipv6}"


def _forward(forward: Forward, network: str | None, ipv6: bool) -> str:
    """The short form where it says everything, else the long one on a line; `ipv6`: whether the network has it."""
    shape = forward.shape
    family = _family(forward) if ipv6 else None
    if not shape.sources and len(shape.listen) < 2 and not family and not network:  # noqa: PLR2004  one has a short form
        listen = shape.listen[0] if shape.listen else None
        short = str(words.Short(listen, forward.ports, forward.to, forward.protocol))
        return short if short.isdigit() else _text(short)
    items = {"ports": str(forward.ports)}
    if forward.to != forward.ports:
        items["to"] = str(forward.to)
    if forward.protocol != "tcp":
        items["protocol"] = forward.protocol
    if shape.listen:
        items["listen"] = _one_or_list([_flow(str(listen)) for listen in shape.listen])
    if shape.sources:
        items["from"] = "[" + ", ".join(_flow(network_text(source)) for source in shape.sources) + "]"
    if family:
        items["family"] = family
    if network:
        items["network"] = _text(network)
    return "{" + ", ".join(f"{key}: {value}" for key, value in items.items()) + "}"


def _family(forward: Forward) -> str | None:
    """`family`, unless addresses in listen or from say it already."""
    shape = forward.shape
    named = bool(shape.listen) and all(isinstance(one, IPv4Address | IPv6Address) for one in shape.listen)
    if named or shape.sources or len(shape.families) > 1:
        return None
    return f"ipv{shape.families[0]}"


def _one_or_list(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else "[" + ", ".join(items) + "]"


def _flow(text: str) -> str:
    """A scalar between brackets: a colon there is in quotes, for the eye."""
    return f'"{text}"' if ":" in text else _text(text)


def _text(text: str) -> str:
    """A scalar, in quotes where it would be read as something else. A forward such as 4023:22 is plain in YAML 1.2."""
    plain = _PLAIN.fullmatch(text) and isinstance(core_scalar(text), str) and text.lower() not in _TRUTH_ELSEWHERE
    if plain:
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(char if char.isprintable() else f"\\U{ord(char):08x}" for char in quoted)
