"""Whether guests can have the devices that a passthrough network gives them: each thing missing, before anything is
changed. libvirt defines and starts such a network whatever is missing, and tells it when the guest starts, in words
that fit several causes (libvirt 9.0 and 11.3). Pure."""

from __future__ import annotations

from collections.abc import Iterator

from guestnet.decide.facts import Device, Facts
from guestnet.spec.world import Lan, World
from guestnet.words.problems import Problem


def problems(lan: Lan, world: World, facts: Facts) -> Iterator[Problem]:
    """For networks of virtual functions: `pf` or `devices`. Whole NICs are judged as every other NIC."""
    found = [*_pf(lan.pf, facts), *(said for address in lan.devices for said in _address(address, facts))]
    found += _twice(lan, world, facts)
    if lan.pf or lan.devices:
        found = [*_iommu(facts), *found]
    for what, todo in dict.fromkeys(found):
        yield Problem(f"network {lan.name} of mode passthrough: {what}", todo)


def notes(world: World, facts: Facts) -> Iterator[str]:
    for lan in world.lans:
        if lan.mode != "passthrough":
            continue
        own = _functions(lan, facts)
        wanted = sum(nic.network == lan.name for guest in world.guests for nic in guest.nics)
        there = len(lan.interfaces) or len(own)
        if there and wanted > there:
            of = "device" if there == 1 else "devices"
            yield f"network {lan.name} has {there} {of} for {wanted} guests of the file: so many run at a time"
        for domain in facts.domains:
            for address in sorted(set(own) & set(domain.devices)):
                # libvirt's pool would give it away once more, and the second guest fails to start (libvirt 11.3).
                yield (
                    f"network {lan.name}: {address} belongs to guest {domain.name} by its own definition; whoever is "
                    f"given it by the network does not start: plug {domain.name} into network {lan.name} instead"
                )


_Said = tuple[str, str]  # what, todo


def _iommu(facts: Facts) -> Iterator[_Said]:
    if not facts.pci.iommu:
        yield (
            "the IOMMU is off, so no guest can have a device",
            "turn on VT-d or AMD-Vi in the firmware, and boot an Intel host with intel_iommu=on",
        )
        return
    if not facts.pci.remapping:
        yield (
            "the IOMMU does not remap interrupts, and vfio refuses it",
            "boot without intremap=off, turn on x2APIC in the firmware; or, where guests are trusted, load "
            "vfio_iommu_type1 with allow_unsafe_interrupts=1",
        )
    if not facts.pci.vfio:
        yield (
            "vfio is not loaded (no /dev/vfio/vfio)",
            "modprobe vfio-pci, and write vfio-pci into /etc/modules-load.d/vfio.conf",
        )


def _pf(name: str | None, facts: Facts) -> Iterator[_Said]:
    if name is None:
        return
    nic = facts.nic(name)
    device = next((device for device in facts.pci.devices if device.nic == name), None)
    if nic is None:
        able = ", ".join(sorted(device.nic for device in facts.pci.devices if device.nic and device.most))
        yield f"there is no NIC {name}", f"with virtual functions there are: {able}" if able else "see: ip link"
        return
    if device is None:
        yield f"{name} is no PCI device, so it has no virtual functions", "write the NIC that has, or use mode macvtap"
    elif device.physical:
        yield f"{name} is a virtual function itself", f"write pf: {_name(device.physical, facts)}"
    elif device.most is None:
        yield (
            f"{name} ({device.driver or 'no driver'}) has no virtual functions: the NIC or its driver lacks SR-IOV",
            f"use mode macvtap, or interfaces: {name} for one guest",
        )
    elif not device.most:
        yield f"SR-IOV of {name} is off in its firmware", "turn it on there"
    elif not device.functions:
        yield (
            f"{name} has no virtual functions yet; it can have {device.most}",
            f"echo {min(4, device.most)} > /sys/class/net/{name}/device/sriov_numvfs, now and at each boot",
        )
    else:
        if not nic.up:
            yield _down(name)
        for address in device.functions:
            yield from _shared(_device(address, facts))
            yield from _own(_device(address, facts), facts)


def _address(address: str, facts: Facts) -> Iterator[_Said]:
    device = _device(address, facts)
    if device is None and address in facts.pci.others:
        yield f"{address} is no NIC", "write the address of a virtual function: lspci -D"
    elif device is None:
        free = ", ".join(function for one in facts.pci.devices for function in one.functions)
        yield f"there is no device {address}", f"virtual functions: {free}" if free else "there are none: see lspci -D"
    elif not device.physical:
        # Interface type hostdev takes only virtual functions (libvirt 9.0, virHostdevNetConfigReplace).
        whole = f"interfaces: {device.nic}" if device.nic else "interfaces: and its name"
        yield (
            f"{address}{f' ({device.nic})' if device.nic else ''} is a whole NIC, and libvirt's networks give out "
            "virtual functions only",
            f"write {whole}, or give it to one guest by a <hostdev> in its definition",
        )
    else:
        parent = facts.nic(_name(device.physical, facts))
        if parent is not None and not parent.up:
            yield _down(parent.name)
        yield from _shared(device)
        yield from _own(device, facts)


def _twice(lan: Lan, world: World, facts: Facts) -> Iterator[_Said]:
    own = set(_functions(lan, facts)) if lan.pf else set()
    for other in world.lans:
        both = sorted(own & set(other.devices))
        if both:
            yield (
                f"{', '.join(both)} of {lan.pf} is network {other.name}'s too, and each of them would give it away",
                f"write devices: here too, without {'it' if len(both) == 1 else 'them'}",
            )


def _down(name: str) -> _Said:
    return f"{name} is down, and libvirt does not bring it up", f"ip link set {name} up, and so at each boot"


def _shared(device: Device | None) -> Iterator[_Said]:
    if device is not None and device.beside:
        yield (
            f"{device.address} is in one IOMMU group with {', '.join(device.beside)}: they go to a guest together or "
            "not at all",
            "use another slot or NIC; or turn on ACS in the firmware",
        )


def _own(device: Device | None, facts: Facts) -> Iterator[_Said]:
    if device is None or not device.nic:
        return
    has = [str(address.ip) for link, address in facts.addresses if link == device.nic]
    if has or any(uplink.nic == device.nic for uplink in facts.uplinks):
        what = f"{device.address} ({device.nic}) has the host's own {', '.join(has) or 'default route'}"
        yield f"{what}; in a guest the host would lose it", "choose devices without it, or move it to another NIC"


def _functions(lan: Lan, facts: Facts) -> tuple[str, ...]:
    physical = next((device for device in facts.pci.devices if lan.pf and device.nic == lan.pf), None)
    return lan.devices or (physical.functions if physical else ())


def _device(address: str, facts: Facts) -> Device | None:
    return next((device for device in facts.pci.devices if device.address == address), None)


def _name(address: str, facts: Facts) -> str:
    device = _device(address, facts)
    return device.nic if device and device.nic else address
