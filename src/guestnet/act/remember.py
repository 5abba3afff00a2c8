"""What is remembered of this host, from its file; or, when that is damaged or gone, from everything else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import unquote

from guestnet.act import journal
from guestnet.compile import dhcp, hookdata, netxml, sysctl
from guestnet.compile.admit import LIBVIRT
from guestnet.decide import remembered
from guestnet.decide.admit import place
from guestnet.decide.back import net
from guestnet.decide.desired import MEMORY
from guestnet.decide.remembered import Told
from guestnet.decide.state import File, Key
from guestnet.host import chains, files
from guestnet.host.libvirt import Libvirt
from guestnet.spec.memory import DamagedError, Memory, from_text
from guestnet.spec.models import Spec
from guestnet.words.problems import GuestnetError


def remember(libvirt: Libvirt, spec: Spec | None) -> tuple[Memory, bool]:
    """The memory, empty at first; and whether it had to be told anew. Raises GuestnetError when it is of a newer
    guestnet."""
    file = files.read(MEMORY)
    if file is not None:
        try:
            return from_text(file.text, MEMORY), False
        except DamagedError:
            return _anew(libvirt, spec), True
    # One that is just being taken over counts as ours, but tells of nothing that was remembered before.
    if any(netxml.is_ours(one.xml or one.running or "") for one in libvirt.networks()[0].values()):
        return _anew(libvirt, spec), True
    return Memory(), False


def _anew(libvirt: Libvirt, spec: Spec | None) -> Memory:
    ours, _ = libvirt.networks()
    base = _written_last()
    auto = {name for name, network in spec.virtual.items() if network.ipv6.address == "auto"} if spec else set()
    told = [*_leases(libvirt, list(ours)), *_reservations(), *_hook_data()]
    found = remembered.rebuilt(base, ours, told, auto)
    conf = files.read(sysctl.FILE)
    with_ours = chains.admitted()
    others = [chain for chain in chains.read() if place(chain) not in LIBVIRT and place(chain).name in with_ours]
    return replace(
        found,
        sysctls={**remembered.set_by_us(conf.text if conf else None), **base.sysctls},
        admitted={**{place(chain).name: chain.hook for chain in others}, **base.admitted},
    )


def _written_last() -> Memory:
    """By the last apply, of which the way back knows; empty when that cannot be told either."""
    try:
        begun = journal.point()
        if begun is None:
            return Memory()
        change = net(begun.changes).get(Key("memory", MEMORY))
        return from_text(change.after.text if change and isinstance(change.after, File) else begun.head.memory)
    except GuestnetError:
        return Memory()


def _leases(libvirt: Libvirt, networks: list[str]) -> Iterator[Told]:
    names = {(nic.network, nic.mac): domain.name for domain in libvirt.domains() for nic in domain.nics}
    for network in networks:
        for lease in reversed(libvirt.leases(network)):
            if (network, lease.mac) in names:
                yield network, names[network, lease.mac], lease.address


def _reservations() -> Iterator[Told]:
    for folder in files.folders(dhcp.FOLDERS):
        for path in files.names(folder):
            file = files.read(path)
            network = unquote(folder.removeprefix(dhcp.FOLDERS))
            yield from remembered.in_reservation(network, path.rpartition("/")[2], file.text if file else "")


def _hook_data() -> Iterator[Told]:
    for path in files.names(hookdata.GUESTS):
        file = files.read(path)
        yield from remembered.in_hook_data(path.rpartition("/")[2], file.text if file else "")
