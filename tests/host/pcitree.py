"""Trees of sysfs as real machines have them: every device a folder under sys/devices, and links to it, as the kernel
makes them. What cannot exist here (other firmware, NICs, IOMMUs) is a tree; the real thing is in tests/nested."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


class Tree:
    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "sys/bus/pci/devices").mkdir(parents=True)

    def device(  # noqa: PLR0913  by keyword, all but the address
        self,
        address: str,
        *,
        kind: str = "0x020000",
        driver: str = "",
        nic: str = "",
        group: str = "",
        most: int | None = None,
        physical: str = "",
    ) -> Tree:
        place = self.root / "sys/devices/pci0000:00" / address
        place.mkdir(parents=True)
        (place / "class").write_text(f"{kind}\n")
        if driver:
            self._link(place / "driver", f"sys/bus/pci/drivers/{driver}")
        if nic:
            (place / "net" / nic).mkdir(parents=True)
        if most is not None:
            (place / "sriov_totalvfs").write_text(f"{most}\n")
            (place / "sriov_numvfs").write_text("0\n")
        if group:
            self._link(place / "iommu_group", f"sys/kernel/iommu_groups/{group}")
            self._link(
                self.root / f"sys/kernel/iommu_groups/{group}/devices/{address}", f"sys/devices/pci0000:00/{address}"
            )
        if physical:
            parent = self.root / "sys/devices/pci0000:00" / physical
            number = len(list(parent.glob("virtfn*")))
            self._link(parent / f"virtfn{number}", f"sys/devices/pci0000:00/{address}")
            self._link(place / "physfn", f"sys/devices/pci0000:00/{physical}")
            (parent / "sriov_numvfs").write_text(f"{number + 1}\n")
        self._link(self.root / "sys/bus/pci/devices" / address, f"sys/devices/pci0000:00/{address}")
        return self

    def intel(self, ecap: str) -> Tree:
        """Intel's IOMMU with these extended capabilities; f020df has interrupt remapping, f020d7 has not."""
        place = self.root / "sys/class/iommu/dmar0/intel-iommu"
        place.mkdir(parents=True)
        (place / "ecap").write_text(f"{ecap}\n")
        return self

    def vfio(self) -> Tree:
        (self.root / "dev/vfio").mkdir(parents=True)
        (self.root / "dev/vfio/vfio").touch()
        return self

    def unsafe(self) -> Tree:
        place = self.root / "sys/module/vfio_iommu_type1/parameters"
        place.mkdir(parents=True)
        (place / "allow_unsafe_interrupts").write_text("Y\n")
        return self

    def _link(self, link: Path, target: str) -> None:
        goal = self.root / target
        goal.mkdir(parents=True, exist_ok=True)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(goal)


def server(root: Path, *, functions: Iterable[int] = (0, 2, 4), group: bool = True) -> Tree:
    """A server: an onboard i210 without virtual functions, and an 82576 behind a port with ACS, which has some."""
    tree = Tree(root).intel("f020df").vfio()
    tree.device("0000:00:01.0", kind="0x060400", driver="pcieport", group="1")
    tree.device("0000:00:1f.0", kind="0x060100", group="7")
    tree.device("0000:00:1f.2", kind="0x010601", driver="ahci", group="7")
    tree.device("0000:02:00.0", driver="igc", nic="eno1", group="8")
    tree.device("0000:01:00.0", driver="igb", nic="eth0", group="9", most=7)
    for function in functions:
        address = f"0000:01:10.{function}"
        nic = f"eth{function + 1}"
        its = f"{10 + function}" if group else "9"
        tree.device(address, driver="igbvf", nic=nic, group=its, physical="0000:01:00.0")
    return tree
