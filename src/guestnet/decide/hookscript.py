"""What can be told of a hook of somebody else from its text: whether it forwards ports, and which. Pure.

Its hooks.json is read as `init` reads it. Of a script only what stands there in so many words is known: a port that it
computes is not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

from guestnet.decide.facts import OldForward
from guestnet.spec.hooksjson.entries import entries
from guestnet.spec.hooksjson.fields import Said
from guestnet.spec.hooksjson.reader import read
from guestnet.words.addresses import parse_ip
from guestnet.words.ports import PortRange, Protocol
from guestnet.words.problems import ProblemsError, WrongError

UNKNOWN = "?"  # in an address's place: one that the script computes
_BY_NAME = re.compile(r"libvirt-hook-qemu|hooks\.json", re.IGNORECASE)
_REMARK = re.compile(r"^\s*(#|//).*$", re.MULTILINE)
_STATE = re.compile(r"ctstate\W+(?:\w+,)*DNAT")  # asks for what is translated, and translates nothing
_IPTABLES = re.compile(r"ip6?tables|\$\{?\w*IP6?T", re.IGNORECASE)
_NFT = re.compile(r"\bdnat\b\W+(?:(?:ip6?|prefix|addr|port)\b\W+)*to\b|[\"']dnat[\"']\s*:")
_JUMP = re.compile(r"\bDNAT\b")
_PORTS = re.compile(r"\bdports?[\s\"',={]+([0-9][0-9:,\s-]*)")
_PROTOCOL = re.compile(r"\b(tcp|udp)\b")
_LISTEN = re.compile(r"(?:[\s\"']-d|--destination|--dst|\bdaddr)[\s\"',=]+(\$?[\w.:{}]+)")
_PATH = re.compile(r"[\w.-]*(?:/[\w.-]+)+")
_TO6 = re.compile(r"ip6|\[[0-9a-f]*:", re.IGNORECASE)


def translates(text: str) -> bool:
    """Whether a hook forwards ports: by what it is called, or rules with DNAT that it makes."""
    if _BY_NAME.search(text):
        return True
    code = _code(text)
    return bool(_NFT.search(code) or (_JUMP.search(code) and _IPTABLES.search(code)))


def paths(text: str) -> list[str]:
    """What may be files that it names: whole paths, and the ends of those that begin with a variable."""
    return list(dict.fromkeys(_PATH.findall(_REMARK.sub("", text))))


def configs(text: str) -> list[str]:
    """Whole paths of configurations that it names."""
    return [path for path in paths(text) if path.startswith("/") and path.endswith(".json")]


def forwards(script: str, config: str) -> tuple[OldForward, ...]:
    """`config`: the text of its hooks.json, empty when it has none."""
    return (*dict.fromkeys([*_configured(config), *_written(script)]),)


def _code(text: str) -> str:
    """Without lines that are remarks, and conditions on what is translated already."""
    return _STATE.sub("", _REMARK.sub("", text))


def _configured(config: str) -> Iterator[OldForward]:
    try:
        document = read(config, "hooks.json")
    except ProblemsError:
        return  # the hook can't read it either, or there is none
    for entry in entries(document, Said()):
        for want in entry.wants:
            ports = want.ports
            yield OldForward(want.address.version, ports.protocol, want.listen, ports.ports, want.guest, want.sources)


def _written(script: str) -> Iterator[OldForward]:
    for line in _code(script).splitlines():
        found = _PORTS.search(line) if _JUMP.search(line) or _NFT.search(line) else None
        for ports in _ranges(found[1]) if found else ():
            for protocol in dict.fromkeys(_PROTOCOL.findall(line)):
                yield OldForward(6 if _TO6.search(line) else 4, _protocol(protocol), _listen(line), ports)


def _protocol(word: str) -> Protocol:
    return "udp" if word == "udp" else "tcp"


def _ranges(text: str) -> Iterator[PortRange]:
    """`80`, `80,443`, `8000:8100` (iptables), `8000-8100` (nft)."""
    for part in "".join(text.split()).strip(",:-").split(","):
        first, _, last = part.replace(":", "-").partition("-")
        try:
            yield PortRange(int(first), int(last or first))
        except ValueError:  # WrongError too
            continue


def _listen(line: str) -> IPv4Address | IPv6Address | str | None:
    found = _LISTEN.search(line)
    if found is None:
        return None
    try:
        return parse_ip(found[1])
    except WrongError:
        return UNKNOWN
