"""What passthrough lacks, on trees of sysfs as real machines have them: read, judged, said."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Interface
from pathlib import Path

import pytest

from guestnet.decide import passthrough
from guestnet.decide.facts import Device, Domain, DomainNic, Facts, HostNic, Pci, Uplink
from guestnet.host import pci
from guestnet.spec.world import Guest, Lan, Nic, World
from tests.host.pcitree import Tree, server

LAN = Lan("vf", "passthrough", None, None, "bridge", None, False, True, False, None)
POOL = replace(LAN, pf="eth0")
UP = tuple(HostNic(name) for name in ("lo", "eno1", "eth0", "eth1", "eth3", "eth5"))


def facts(tree: Tree, nics: tuple[HostNic, ...] = UP, **more: object) -> Facts:
    return Facts(hostname="kvm1", libvirt="9.0.0", nics=nics, pci=pci.read(tree.root), **more)  # type: ignore[arg-type]


def said(lan: Lan, seen: Facts, *others: Lan) -> list[str]:
    return [str(problem) for problem in passthrough.problems(lan, World((), (), (lan, *others)), seen)]


def test_a_tree_is_read_whole(tmp_path: Path) -> None:
    seen = pci.read(server(tmp_path, functions=(0, 2)).root)
    assert seen == Pci(
        devices=(
            Device("0000:01:00.0", "eth0", "igb", "9", (), "", ("0000:01:10.0", "0000:01:10.2"), 7),
            Device("0000:01:10.0", "eth1", "igbvf", "10", (), "0000:01:00.0"),
            Device("0000:01:10.2", "eth3", "igbvf", "12", (), "0000:01:00.0"),
            Device("0000:02:00.0", "eno1", "igc", "8"),
        ),
        others=("0000:00:01.0", "0000:00:1f.0", "0000:00:1f.2"),
        iommu=True,
        remapping=True,
        vfio=True,
    )


def test_functions_are_in_their_order_not_that_of_letters(tmp_path: Path) -> None:
    tree = Tree(tmp_path).device("0000:03:00.0", driver="mlx5_core", nic="eth0", most=16)
    addresses = [f"0000:03:{1 + number // 8:02x}.{number % 8}" for number in range(12)]
    for address in addresses:
        tree.device(address, physical="0000:03:00.0")
    assert pci.read(tree.root).devices[0].functions == tuple(addresses)


def test_a_server_that_is_ready_has_no_problem(tmp_path: Path) -> None:
    seen = facts(server(tmp_path))
    assert said(POOL, seen) == []
    assert said(replace(LAN, devices=("0000:01:10.0", "0000:01:10.4")), seen) == []


def test_a_machine_without_pci_is_read(tmp_path: Path) -> None:
    assert pci.read(tmp_path) == Pci()


def test_the_iommu_is_off(tmp_path: Path) -> None:
    tree = Tree(tmp_path).device("0000:01:00.0", driver="igb", nic="eth0", most=7).vfio()
    tree.device("0000:01:10.0", driver="igbvf", nic="eth1", physical="0000:01:00.0")
    (only,) = said(POOL, facts(tree))
    assert only == (
        "network vf of mode passthrough: the IOMMU is off, so no guest can have a device "
        "(turn on VT-d or AMD-Vi in the firmware, and boot an Intel host with intel_iommu=on)"
    )


@pytest.mark.parametrize(("ecap", "unsafe", "problems"), [("f020df", 0, 0), ("f020d7", 0, 1), ("f020d7", 1, 0)])
def test_interrupts_that_are_not_remapped(tmp_path: Path, ecap: str, unsafe: int, problems: int) -> None:
    tree = Tree(tmp_path).intel(ecap).vfio().device("0000:01:00.0", driver="igb", nic="eth0", most=7, group="9")
    tree.device("0000:01:10.0", driver="igbvf", nic="eth1", group="10", physical="0000:01:00.0")
    if unsafe:
        tree.unsafe()
    found = said(POOL, facts(tree))
    assert len(found) == problems
    assert all("does not remap interrupts" in one for one in found)


def test_vfio_is_not_loaded(tmp_path: Path) -> None:
    tree = server(tmp_path)
    (tree.root / "dev/vfio/vfio").unlink()
    (only,) = said(POOL, facts(tree))
    assert "vfio is not loaded (no /dev/vfio/vfio) (modprobe vfio-pci" in only


def test_no_functions_yet_says_how_many_there_could_be(tmp_path: Path) -> None:
    (only,) = said(POOL, facts(server(tmp_path, functions=())))
    assert "eth0 has no virtual functions yet; it can have 7" in only
    assert "echo 4 > /sys/class/net/eth0/device/sriov_numvfs" in only


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("eno1", "eno1 (igc) has no virtual functions: the NIC or its driver lacks SR-IOV"),
        ("eth1", "eth1 is a virtual function itself (write pf: eth0)"),
        ("eth9", "there is no NIC eth9 (with virtual functions there are: eth0)"),
        ("veth0", "veth0 is no PCI device"),
    ],
)
def test_the_wrong_nic(tmp_path: Path, name: str, problem: str) -> None:
    nics = (*UP, HostNic("veth0", "veth"))
    (only,) = said(replace(LAN, pf=name), facts(server(tmp_path), nics))
    assert problem in only


def test_sr_iov_is_off_in_the_firmware(tmp_path: Path) -> None:
    tree = Tree(tmp_path).vfio().device("0000:01:00.0", driver="bnxt_en", nic="eth0", group="1", most=0)
    (only,) = said(POOL, facts(tree))
    assert "SR-IOV of eth0 is off in its firmware" in only


def test_a_pf_that_is_down(tmp_path: Path) -> None:
    nics = tuple(replace(nic, up=nic.name != "eth0") for nic in UP)
    for lan in (POOL, replace(LAN, devices=("0000:01:10.0",))):
        (only,) = said(lan, facts(server(tmp_path / lan.place), nics))
        assert "eth0 is down, and libvirt does not bring it up (ip link set eth0 up" in only


def test_a_group_with_others(tmp_path: Path) -> None:
    """A desktop: no ACS, so the functions share the group of their PF."""
    found = said(POOL, facts(server(tmp_path, functions=(0, 2), group=False)))
    assert len(found) == 2
    assert "0000:01:10.0 is in one IOMMU group with 0000:01:00.0 (igb), 0000:01:10.2 (igbvf)" in found[0]
    assert "ACS" in found[0]


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("0000:00:1f.2", "0000:00:1f.2 is no NIC"),
        (
            "0000:01:10.6",
            "there is no device 0000:01:10.6 (virtual functions: 0000:01:10.0, 0000:01:10.2, 0000:01:10.4",
        ),
        ("0000:02:00.0", "0000:02:00.0 (eno1) is a whole NIC, and libvirt's networks give out virtual functions only"),
    ],
)
def test_the_wrong_device(tmp_path: Path, address: str, problem: str) -> None:
    (only,) = said(replace(LAN, devices=(address,)), facts(server(tmp_path)))
    assert problem in only


def test_a_function_that_the_host_uses_itself(tmp_path: Path) -> None:
    tree = server(tmp_path)
    own = facts(tree, addresses=(("eth3", IPv4Interface("192.0.2.5/24")),))
    (only,) = said(POOL, own)
    assert "0000:01:10.2 (eth3) has the host's own 192.0.2.5; in a guest the host would lose it" in only
    routed = facts(tree, uplinks=(Uplink("eth3", (4,), kernel_ra=False),))
    assert "has the host's own default route" in said(POOL, routed)[0]
    assert said(POOL, facts(tree, uplinks=(Uplink("eth0", (4,), kernel_ra=False),))) == [], "the PF stays the host's"


def test_two_networks_with_one_function(tmp_path: Path) -> None:
    other = replace(LAN, name="other", devices=("0000:01:10.2",))
    (only,) = said(POOL, facts(server(tmp_path)), other)
    assert "0000:01:10.2 of eth0 is network other's too" in only


def test_a_function_that_a_guest_has_by_its_own_definition(tmp_path: Path) -> None:
    seen = facts(server(tmp_path), domains=(Domain("db", True, (), ("0000:01:10.2",)),))
    (only,) = passthrough.notes(World((), (), (POOL,)), seen)
    assert "0000:01:10.2 belongs to guest db by its own definition" in only


def test_more_guests_than_functions(tmp_path: Path) -> None:
    nic = Nic("vf", "52:54:00:00:00:01", None, None, True)
    guests = tuple(Guest(f"g{i}", (nic,), ()) for i in range(4))
    seen = facts(server(tmp_path), domains=(Domain("g0", True, (DomainNic("vf", nic.mac or ""),)),))
    (only,) = passthrough.notes(World((), guests, (POOL,)), seen)
    assert "network vf has 3 devices for 4 guests of the file" in only
