"""What the kernel says of PCI devices that guests could have for themselves: reads a sysfs tree, and changes nothing.

Kernel documentation: ABI/testing/sysfs-bus-pci (virtfn, physfn, sriov_*), driver-api/vfio.rst (groups).
"""

from __future__ import annotations

from pathlib import Path

from guestnet.decide.facts import Device, Pci

_NETWORK, _BRIDGE = "0x02", "0x06"  # PCI classes; bridges may share a group with what is passed through
_ECAP_IR = 1 << 3  # extended capabilities of Intel's IOMMU: it remaps interrupts (VT-d specification, 11.4.3)


def read(root: Path = Path("/")) -> Pci:
    """All network devices. `root` is where `sys` and `dev` are."""
    folder = root / "sys/bus/pci/devices"
    places = sorted(folder.iterdir()) if folder.is_dir() else []
    return Pci(
        devices=tuple(_device(place) for place in places if _text(place / "class").startswith(_NETWORK)),
        others=tuple(place.name for place in places if not _text(place / "class").startswith(_NETWORK)),
        iommu=any((place / "iommu_group").exists() for place in places),
        remapping=_remapping(root),
        vfio=(root / "dev/vfio/vfio").exists(),
    )


def _device(place: Path) -> Device:
    net = place / "net"
    most = _text(place / "sriov_totalvfs")
    return Device(
        address=place.name,
        nic=next((entry.name for entry in sorted(net.iterdir())), "") if net.is_dir() else "",
        driver=_target(place / "driver"),
        group=_target(place / "iommu_group"),
        beside=tuple(_beside(place)),
        physical=_target(place / "physfn"),
        functions=tuple(_target(link) for link in sorted(place.glob("virtfn*"), key=_number)),
        most=int(most) if most.isdigit() else None,
    )


def _beside(place: Path) -> list[str]:
    """The devices that the IOMMU can't tell from this one, but for bridges, with their drivers."""
    group = place / "iommu_group/devices"
    found = []
    for other in sorted(group.iterdir()) if group.is_dir() else []:
        if other.name != place.name and not _text(other / "class").startswith(_BRIDGE):
            driver = _target(other / "driver")
            found.append(f"{other.name} ({driver or 'no driver'})")
    return found


def _remapping(root: Path) -> bool:
    """Whether guests' devices can only raise their own interrupts, or the admin accepts that they may raise others'.
    Told for Intel's IOMMUs; the others always do (AMD: since family 15h), or say nothing here."""
    if _text(root / "sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts") == "Y":
        return True
    capabilities = [_text(path) for path in (root / "sys/class/iommu").glob("*/intel-iommu/ecap")]
    return all(int(text, 16) & _ECAP_IR for text in capabilities if text)


def _number(link: Path) -> int:
    return int(link.name.removeprefix("virtfn"))


def _target(link: Path) -> str:
    """The name of what a link leads to; empty when there is none."""
    return link.resolve().name if link.exists() else ""


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
