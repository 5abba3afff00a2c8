"""Reads who else has firewall rules here, and hooks that forward ports. Changes nothing.

Each is told by what only it makes. Rules are not understood: only names of chains and policies are looked at, and lines
of libvirt-hook-qemu, by its chains' names, are turned into the commands that remove them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from guestnet.decide import hookscript
from guestnet.decide.desired import HOOKS
from guestnet.decide.facts import Chain, Legacy, OldHook, Others
from guestnet.host.run import ProgramError, run
from guestnet.words.problems import GuestnetError

_PROGRAMS = ("iptables", "ip6tables")
_FOLDER = Path("/etc/libvirt/hooks")
# saschpe's, and GJCav's: DNAT-web1, SNAT-web1 in nat, FWD-web1 in filter.
_LEFT = re.compile(r"(?:-N|-j) ((?:DNAT|SNAT|FWD)-\S+)")
_MOST = 1 << 20  # bytes of a hook or its configuration
_SCRIPTS = 8  # that one hook runs
_SECONDS = 10  # firewall-cmd asks over D-Bus


def read(chains: tuple[Chain, ...]) -> Others:
    lines = {program: _listing(program, "filter") for program in _PROGRAMS}
    firewalld = _firewalld(chains, lines)
    return Others(
        libvirt=_first(lines, "LIBVIRT_FWI"),
        docker=_first(lines, "DOCKER-USER", "DOCKER-ISOLATION-STAGE-1", "DOCKER"),
        ufw=_first(lines, "ufw-before-forward", "ufw6-before-forward"),
        firewalld=firewalld,
        panic=any(chain.table.startswith("firewalld") and _drops_all(chain) for chain in chains),
        zones=_zones() if firewalld else (),
        policies=tuple(
            (program, name)
            for program, listed in lines.items()
            for name in ("FORWARD", "INPUT", "OUTPUT")
            if f"-P {name} DROP" in listed
        ),
        hooks=tuple(_hooks()),
        legacy=tuple(_legacy()),
        leftovers=tuple(_leftovers(lines)),
    )


def _listing(program: str, table: str) -> list[str]:
    try:
        return run(program, "-w", "5", "-t", table, "-S").splitlines()
    except ProgramError:
        return []  # a table that this kernel does not have


def _legacy() -> Iterator[Legacy]:
    """Only where the table is there already: to list it with iptables-legacy makes it (1.8.9)."""
    for program in _PROGRAMS:
        tables = Path(f"/proc/self/net/{program.removesuffix('tables')}_tables_names")
        if not tables.is_file() or "filter" not in tables.read_text().split():
            continue
        try:
            if "nf_tables" not in run(program, "-V"):
                continue  # it is the old one itself, whose rules are looked at anyway
            yield Legacy(f"{program}-legacy", tuple(run(f"{program}-legacy", "-w", "5", "-S").splitlines()))
        except GuestnetError:
            yield Legacy(f"{program}-legacy")


def _first(lines: dict[str, list[str]], *names: str) -> str:
    """The first of these chains that is there, and where."""
    for program, listed in lines.items():
        for name in names:
            if f"-N {name}" in listed:
                return f"chain {name} in {program}"
    return ""


def _firewalld(chains: tuple[Chain, ...], lines: dict[str, list[str]]) -> str:
    """By its table, or by its chain where it is told to use iptables."""
    if any((chain.family, chain.table) == ("inet", "firewalld") for chain in chains):
        return "table inet firewalld"
    return _first(lines, "FORWARD_ZONES", "FORWARD_IN_ZONES")


def _drops_all(chain: Chain) -> bool:
    """As its panic mode does, before everybody else (firewalld 1.3: table firewalld_policy_drop, priority -310)."""
    return chain.policy == "drop" and chain.hook == "prerouting"


def _zones() -> tuple[tuple[str, str], ...] | None:
    try:
        listed = run("firewall-cmd", "--get-active-zones", timeout=_SECONDS)
    except GuestnetError:
        return None
    found, zone = [], ""
    for line in listed.splitlines():
        if not line.startswith(" "):
            zone = line.split(" ")[0]
        elif line.strip().startswith("interfaces:"):
            found += [(nic, zone) for nic in line.split()[1:]]
    return tuple(found)


def _hooks() -> Iterator[OldHook]:
    """Those that libvirt runs: hooks/qemu, and each executable file of hooks/qemu.d (>= 6.5)."""
    for path in (_FOLDER / "qemu", *sorted((_FOLDER / "qemu.d").glob("*"))):
        if str(path) in HOOKS or not path.is_file() or not os.access(path, os.X_OK):
            continue
        scripts = _scripts(path)
        text = "\n".join(scripts.values())
        if hookscript.translates(text):
            # Beside the script, as both do; or in libvirt's folder, or where it says.
            configs = dict.fromkeys(
                (
                    *(script.parent / "hooks.json" for script in scripts),
                    *([_FOLDER / "hooks.json"] if "hooks.json" in text else []),
                    *map(Path, hookscript.configs(text)),
                )
            )
            listed = {config: _text(config) for config in configs if config.is_file()}
            found = [one for config in listed.values() or ("",) for one in hookscript.forwards(text, config)]
            first = str(next(iter(listed), ""))
            yield OldHook(str(path), first, "\n".join([text, *listed.values()]), tuple(dict.fromkeys(found)))


def _scripts(path: Path) -> dict[Path, str]:
    """A hook's text, and of the scripts that it names and so may run, by their real paths."""
    found: dict[Path, str] = {}
    wanted = [path]
    while wanted and len(found) < _SCRIPTS:
        script = wanted.pop(0).resolve()
        # What /proc has may wait for ever.
        new = script not in found and script.is_file() and not script.is_relative_to("/proc")
        text = _text(script) if new else ""
        if not text or (found and not text.startswith("#!")):
            continue
        found[script] = text
        for name in hookscript.paths(text):
            wanted += [Path(name)] if name.startswith("/") else []
            wanted.append(script.parent / name.partition("/")[2])
    return found


def _text(path: Path) -> str:
    try:
        with path.open("rb") as source:
            return source.read(_MOST).decode(errors="replace")
    except OSError:
        return ""


def _leftovers(lines: dict[str, list[str]]) -> Iterator[str]:
    for program in _PROGRAMS:
        for table, listed in (("nat", _listing(program, "nat")), ("filter", lines[program])):
            names = dict.fromkeys(found[1] for line in listed if (found := _LEFT.search(line)))
            chains = [name for name in names if f"-N {name}" in listed]
            for line in listed:
                if line.startswith("-A ") and any(line.endswith(f" -j {name}") for name in chains):
                    yield f"{program} -t {table} -D {line.removeprefix('-A ')}"
            for name in chains:
                yield f"{program} -t {table} -F {name}"
                yield f"{program} -t {table} -X {name}"
