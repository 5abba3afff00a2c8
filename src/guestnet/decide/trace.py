"""What `nft monitor trace` prints, as steps; and what they say of where a packet ended. Pure.

Its JSON is no JSON (nft 1.0.6 and 1.1.3 print text with -j too), so the text is read. Nothing is made of a rule's text
but a copy for the reader: the verdict stands beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_LINE = re.compile(r"trace id (\w+) (\w+) (\S+) (\S+) (packet: |rule |verdict |policy |unknown rule )(.*)")
_VERDICT = re.compile(r"(.*) \(verdict ([^()]*)\)\s*$")
_COUNTER = re.compile(r"counter packets \d+ bytes \d+ ")
OURS = "inet guestnet_trace"  # the table that marks the packets


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
        return self.verdict == "drop" or (self.kind == "rule" and bool(re.search(r"\breject\b", self.text)))


def parse(lines: Iterable[str]) -> list[list[Step]]:
    """The steps of each packet, packets in the order in which they came. Packets of one connection may have one id: our
    own marking, which leaves nothing but where it came in, tells where the next begins."""
    found: list[list[Step]] = []
    current: dict[str, list[Step]] = {}
    for line in lines:
        match = _LINE.match(line.strip())
        if not match:
            continue
        packet, family, table, chain, kind, text = match.groups()
        step = _step(packet, f"{family} {table}", chain, kind.strip(" :"), text)
        if step.table == OURS and step.kind == "packet":
            current[packet] = []
            found.append(current[packet])
        if step.table != OURS or step.kind == "packet":
            current.setdefault(packet, []).append(step)
    return found


def _step(packet: str, table: str, chain: str, kind: str, text: str) -> Step:
    text = _COUNTER.sub("", text).strip()
    if kind == "policy":
        return Step(packet, table, chain, "policy", f"policy {text}", text)
    match = _VERDICT.match(text)
    if match:
        return Step(packet, table, chain, "rule", match[1], match[2])
    return Step(packet, table, chain, kind.split(" ", maxsplit=1)[-1], text, text if kind == "verdict" else "")


def destination(steps: Sequence[Step]) -> str:
    """Whom the packet was for in the end, after any translation; empty when that was not seen."""
    for step in reversed(steps):
        words = step.text.split()
        if step.kind == "packet" and "daddr" in words:
            return next(
                words[i + 2] for i in range(len(words) - 2) if words[i] in ("ip", "ip6") and words[i + 1] == "daddr"
            )
    return ""


_CHAINS = {
    "LIBVIRT_": "libvirt's",
    "DOCKER": "docker's",
    "ufw": "ufw's",
    "f2b-": "fail2ban's",
    "KUBE-": "kubernetes'",
    "CNI-": "CNI's",
    "NETAVARK": "podman's",
    "ts-": "tailscale's",
}
_TABLES = {
    "guestnet": "guestnet's",
    "libvirt_network": "libvirt's",
    "firewalld": "firewalld's",
    "netavark": "podman's",
    "ufw": "ufw's",
}


def owner(step: Step) -> str:
    """Whose rule it is, by the names that each program gives its chains and tables."""
    table = step.table.split(" ", 1)[1]
    if table in _TABLES:
        return _TABLES[table]
    if "ct status dnat" in step.text and "0x2000" in step.text:
        return "guestnet's"  # the admit rule
    for start, who in _CHAINS.items():
        if step.chain.startswith(start):
            return who
    return "iptables'" if step.kind == "policy" and step.chain.isupper() else "somebody's"
