"""What `nft monitor trace` prints, as steps of packets; and whose a rule is. Pure.

Its JSON is no JSON (nft 1.0.6 and 1.1.3 print text with -j too), so the text is read. Nothing is made of a rule's text
but a copy for the reader: the verdict stands beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from guestnet.compile.admit import COMMENT

_LINE = re.compile(r"trace id (\w+) (\w+) (\S+) (\S+) (packet: |rule |verdict |policy |unknown rule )(.*)")
_VERDICT = re.compile(r"(.*) \(verdict ([^()]*)\)\s*$")
_COUNTER = re.compile(r"counter packets \d+ bytes \d+ ")
_QUOTED = re.compile(r'"[^"]*"')
_REJECT = re.compile(r"(?<![@\w.-])reject(?![\w.-])")  # no name of a set
_GOES_ON = {"accept", "jump", "goto", "return", "continue"}
OURS = "inet guestnet_trace"  # the table that marks the packets
REPLIES = "replies"  # those chains of it, `replies` and `replies_out`, see answers once more, when NAT is known


@dataclass(frozen=True)
class Step:
    """kind: packet (it enters a base chain), rule, policy. verdict: accept, drop, jump X ..., of a rule or policy."""

    packet: str
    table: str  # `inet guestnet`
    chain: str
    kind: str
    text: str
    verdict: str = ""

    @property
    def ended(self) -> bool:
        return bool(self.end)

    @property
    def end(self) -> str:
        """`dropped` or `rejected` when the packet ended here, else empty."""
        if self.kind == "rule" and self.verdict.partition(" ")[0] not in _GOES_ON and _REJECT.search(self.bare):
            return "rejected"
        return "dropped" if self.verdict == "drop" else ""

    @property
    def bare(self) -> str:
        """The text without comments, and whatever else a person may have written between quotes."""
        return _QUOTED.sub('""', self.text)


@dataclass(frozen=True)
class Head:
    """A packet at the entry of a base chain. iif "": from the host itself; oif "": not routed yet, or to the host
    itself; port 0: it has none."""

    iif: str
    oif: str
    source: str
    target: str
    port: int


def parse(lines: Iterable[str]) -> list[list[Step]]:
    """The steps of each packet, packets in the order in which they came. Packets of one connection may have one id: a
    rule of ours that marks one tells where the next begins."""
    found: list[list[Step]] = []
    current: dict[str, list[Step]] = {}
    entry: dict[str, Step] = {}  # where our own table saw it last
    seen: set[str] = set()  # ids whose current packet has passed our chains for answers
    again = False  # whether the packet at hand passes them for the first time, marked before
    for step in filter(None, map(_read, lines)):
        if step.table != OURS:
            current.setdefault(step.packet, []).append(step)
        elif step.kind == "packet":
            entry[step.packet] = step
            late = step.chain.startswith(REPLIES)
            again = late and step.packet in current and step.packet not in seen
            (seen.add if late else seen.discard)(step.packet)
        elif step.kind == "rule" and not again:
            current[step.packet] = [entry.get(step.packet, step)]
            found.append(current[step.packet])
    return found


def _read(line: str) -> Step | None:
    match = _LINE.match(line.strip())
    if not match:
        return None
    packet, family, table, chain, kind, text = match.groups()
    return _step(packet, f"{family} {table}", chain, kind.strip(" :"), _COUNTER.sub("", text).strip())


def _step(packet: str, table: str, chain: str, kind: str, text: str) -> Step:
    if kind == "policy":
        return Step(packet, table, chain, "policy", f"policy {text}", text)
    match = _VERDICT.match(text)
    if match:
        return Step(packet, table, chain, "rule", match[1], match[2])
    return Step(packet, table, chain, kind.split(" ", maxsplit=1)[-1], text, text if kind == "verdict" else "")


def heads(steps: Sequence[Step]) -> Iterator[Head]:
    """Where it was each time that it entered a base chain."""
    for step in steps:
        if step.kind == "packet":
            words = step.text.split()
            pairs = list(zip(words, words[1:], [*words[2:], ""], strict=False))
            links = {word: name.strip('"') for word, name, _ in pairs if word in ("iif", "oif")}
            ends = {word: value for ip, word, value in pairs if ip in ("ip", "ip6") and word in ("saddr", "daddr")}
            port = next((value for l4, word, value in pairs if l4 in ("tcp", "udp") and word == "dport"), "0")
            yield Head(
                links.get("iif", ""), links.get("oif", ""), ends.get("saddr", ""), ends.get("daddr", ""), int(port)
            )


def first(steps: Sequence[Step]) -> Head:
    """As it was when it was first seen."""
    return next(heads(steps), Head("", "", "", "", 0))


def last(steps: Sequence[Step]) -> Head:
    """As it was when it was seen last, after any translation of whom it is for."""
    *_, found = [first(()), *heads(steps)]
    return found


_CHAINS = {
    "LIBVIRT_": "libvirt",
    "DOCKER": "docker",
    "ufw": "ufw",
    "f2b-": "fail2ban",
    "KUBE-": "kubernetes",
    "CNI-": "CNI",
    "NETAVARK": "podman",
    "ts-": "tailscale",
}
_TABLES = {
    "guestnet": "guestnet",
    "libvirt_network": "libvirt",
    "firewalld": "firewalld",
    "netavark": "podman",
    "docker-bridges": "docker",
    "ufw": "ufw",
}
UNKNOWN = "unknown"


def owner(step: Step) -> str:
    """Whose rule it is, by the names that each program gives its chains and tables; UNKNOWN: who can tell."""
    table = step.table.split(" ", 1)[1]
    if ("ct status dnat" in step.text and "0x2000" in step.text) or COMMENT in step.text:
        return "guestnet"  # the admit rule
    if table in _TABLES:
        return _TABLES[table]
    for start, who in _CHAINS.items():
        if step.chain.startswith(start):
            return who
    return "iptables" if step.kind == "policy" and step.chain.isupper() else UNKNOWN


def whose(step: Step) -> str:
    """The same, for a sentence."""
    name = owner(step)
    return "somebody's" if name == UNKNOWN else f"{name}'" if name.endswith("s") else f"{name}'s"
