"""What a probe found out, and how to read it from the probe program's line. It must not send anything itself."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from subprocess import CompletedProcess
from typing import Literal, Protocol

from lab.errors import LabError

Address = IPv4Address | IPv6Address
Kind = Literal["answered", "refused", "timeout"]

_ECHO = re.compile(r"(?P<name>\S+) (?P<protocol>tcp|udp) (?P<port>\d+) from (?P<address>\S+)")


@dataclass(frozen=True)
class Answer:
    """kind: answered, refused (somebody said no, or the own kernel knows no way), timeout (silence).

    text: the line that came back, or the errno's name when refused (ECONNREFUSED, EHOSTUNREACH, ENETUNREACH ...).
    peer: the name of the echo service that answered; seen: the client's address as that service saw it. Both None when
    something else answered. seconds: how long it took.
    """

    kind: Kind
    text: str = ""
    peer: str | None = None
    seen: Address | None = None
    seconds: float = 0.0

    @property
    def answered(self) -> bool:
        return self.kind == "answered"


class Probes(Protocol):
    """Anything that can ask whether a port answers: the internet, the host, a real guest, a fake guest."""

    def probe(
        self,
        protocol: str,
        address: str | Address,
        port: int,
        *,
        source: str | Address | None = None,
        timeout: float = 3.0,
    ) -> Answer: ...


def question(  # noqa: PLR0913, PLR0917  the words of the command line, in its order
    program: str, protocol: str, address: str | Address, port: int, source: str | Address | None, timeout: float
) -> list[str]:
    """The probe program's command line; timeout in seconds."""
    words = [program, protocol, str(address), str(port), str(int(timeout * 1000))]
    return words if source is None else [*words, str(source)]


def understand(done: CompletedProcess[str]) -> Answer:
    """Read the probe program's answer. Raises LabError when the question itself was wrong."""
    words = done.stdout.strip().split(" ", 2)
    if done.returncode != 0 or len(words) < 2:  # noqa: PLR2004  kind and seconds are always there
        raise LabError(f"the probe could not ask: {' '.join(done.args)}\n{done.stdout}{done.stderr}")
    kind, seconds, text = words[0], float(words[1]), words[2] if len(words) > 2 else ""  # noqa: PLR2004  the text may miss
    if kind == "answered":
        echo = _ECHO.fullmatch(text)
        if echo:
            return Answer("answered", text, echo["name"], ip_address(echo["address"]), seconds)
        return Answer("answered", text, seconds=seconds)
    if kind == "refused":
        return Answer("refused", text, seconds=seconds)
    return Answer("timeout", text, seconds=seconds)
