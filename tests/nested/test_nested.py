"""Passthrough for real, in a machine that has the hardware: a guest gets a virtual function and gives it back."""

from __future__ import annotations

import subprocess
import sys

import pytest

from lab import LabError, clean, state
from lab.cache import REPOSITORY
from lab.namespace import Process
from lab.nested import NIC, PEER, Nested
from lab.process import wait_for
from tests.nested.conftest import FILE, POOL, apply

pytestmark = pytest.mark.lab

MAC = "52:54:00:00:0b:01"
POOL_LINE = f"  pool: {{mode: passthrough, pf: {NIC}}}\n"
FUNCTIONS = (
    f"networks:\n{POOL_LINE}".replace("{", "{{").replace("}", "}}")
    + """\
  tagged: {{mode: passthrough, devices: [{}], vlan: 42}}
"""
)
BOOT = """
import time
from lab.nested import Nested
with Nested(libvirtd=False) as machine:
    print(machine.outside.init.pid, flush=True)
    time.sleep(600)
"""


def test_a_guest_gets_a_virtual_function_and_gives_it_back(machine: Nested, network: str) -> None:
    before = machine.vfs()
    assert [vf.driver for vf in before] == ["igbvf"] * 3
    guest = machine.define_guest("g1", network, MAC)
    guest.start()
    assert guest.running
    taken, *rest = machine.vfs()
    assert (taken.pci, taken.driver, taken.mac, taken.vlan) == (before[0].pci, "vfio-pci", MAC, None)
    assert [vf.driver for vf in rest] == ["igbvf"] * 2
    guest.destroy()
    after = wait_for("the virtual function's driver", lambda: [vf for vf in machine.vfs() if vf.driver == "igbvf"])
    assert [vf.pci for vf in after] == [vf.pci for vf in before]
    assert MAC not in [vf.mac for vf in after]
    guest.undefine()


def test_the_plan_is_empty_while_the_pool_runs(machine: Nested, network: str) -> None:
    """libvirt lists the functions that it found in the running network; that is no difference."""
    assert "<address" in machine.virsh("net-dumpxml", network).stdout
    assert "Nothing to do" in machine.guestnet("plan").stdout


def test_functions_by_address_with_the_networks_vlan(machine: Nested, network: str) -> None:
    first, second, third = (vf.pci for vf in machine.vfs())
    said = machine.guestnet("-f", "/dev/stdin", "plan", input=FUNCTIONS.format(second), check=False).stdout
    assert f"{second} of {NIC} is network tagged's too" in " ".join(said.split())
    apply(machine, FUNCTIONS.format(f"{second}, {third}").replace(POOL_LINE, ""))
    guest = machine.define_guest("g2", "tagged", MAC)
    guest.start()
    assert [(vf.pci, vf.driver, vf.vlan) for vf in machine.vfs()] == [
        (first, "igbvf", None), (second, "vfio-pci", 42), (third, "igbvf", None),
    ]  # fmt: skip
    guest.destroy()
    guest.undefine()
    assert "Nothing to do" in machine.guestnet("plan").stdout
    apply(machine, POOL)


PROBLEMS = {
    "devices: ['0000:01:00.0']": f"0000:01:00.0 ({NIC}) is a whole NIC, and libvirt's networks give out virtual",
    "devices: ['0000:01:11.0']": "there is no device 0000:01:11.0 (virtual functions: 0000:01:10.0, 0000:01:10.2",
    "devices: ['0000:00:00.0']": "0000:00:00.0 is no NIC",
    "pf: eth1": f"eth1 is a virtual function itself (write pf: {NIC})",
    "pf: lo": "lo is no PCI device",
    f"interfaces: [{NIC}]": f"{NIC} has the host's own 198.51.100.2; the host would lose its network",
}


def test_what_is_missing_is_said_before_anything_is_tried(machine: Nested) -> None:
    """All at once: a network each."""
    text = "networks:\n" + "".join(f"  n{i}: {{mode: passthrough, {line}}}\n" for i, line in enumerate(PROBLEMS))
    machine.write("/run/wrong.yaml", text)
    done = machine.guestnet("-f", "/run/wrong.yaml", "apply", "--yes", check=False)
    assert done.returncode == 1
    for i, problem in enumerate(PROBLEMS.values()):
        assert f"network n{i} of mode passthrough: {problem}" in done.stderr
    assert f"{len(PROBLEMS)} problems, nothing was touched" in done.stderr


def test_a_nic_that_is_down_and_one_without_functions(machine: Nested, network: str) -> None:
    machine.run(["ip", "link", "set", NIC, "down"])
    down = machine.guestnet("plan", check=False)
    machine.run(["ip", "link", "set", NIC, "up"])
    machine.run(f"echo 0 > /sys/class/net/{NIC}/device/sriov_numvfs")
    bare = machine.guestnet("plan", check=False)
    machine.make_vfs(3)
    assert (down.returncode, bare.returncode) == (1, 1)
    assert f"{NIC} is down, and libvirt does not bring it up (ip link set {NIC} up" in " ".join(down.stdout.split())
    assert f"{NIC} has no virtual functions yet; it can have 7" in " ".join(bare.stdout.split())
    assert "Nothing to do" in machine.guestnet("plan").stdout


def test_its_neighbour_answers(machine: Nested) -> None:
    """Whatever the passthrough tests find, the cable is not to blame."""
    machine.run(f"/usr/lib/guestnet-lab/busybox ping -c 1 -W 5 {PEER}")


def test_a_command_is_killed_when_its_time_is_up(machine: Nested) -> None:
    with pytest.raises(LabError, match="not within 2 s"):
        machine.run("echo said; sleep 321", timeout=2)
    assert "sleep 321" not in machine.run(["ps", "-eo", "args"]).stdout


BY_HAND = f"<network><name>hand</name><forward mode='hostdev' managed='yes'><pf dev='{NIC}'/></forward></network>"


@pytest.mark.parametrize(
    ("hardware", "ours", "libvirts"),
    [
        ({"iommu": False}, "the IOMMU is off, so no guest can have a device", "host doesn't support passthrough"),
        ({"remapping": False}, "the IOMMU does not remap interrupts, and vfio refuses it", "Operation not permitted"),
    ],
    ids=["no IOMMU", "no interrupt remapping"],
)
def test_what_libvirt_would_say_at_the_guests_start(hardware: dict[str, bool], ours: str, libvirts: str) -> None:
    with Nested(**hardware) as machine:  # type: ignore[arg-type]
        machine.make_vfs(1)
        machine.write(FILE, POOL)
        done = machine.guestnet("apply", "--yes", check=False)
        assert done.returncode == 1
        assert f"network pool of mode passthrough: {ours}" in done.stderr
        assert "1 problem, nothing was touched" in done.stderr
        assert machine.virsh("-q", "net-list", "--all", "--name").stdout.split() == []
        machine.define_network(BY_HAND)
        machine.define_guest("g1", "hand", MAC)
        refused = machine.virsh("start", "g1", check=False)
        assert refused.returncode != 0
        assert libvirts in refused.stderr, "and so it is good that we have looked"


def test_nothing_is_left_when_its_maker_is_killed() -> None:
    maker = subprocess.Popen([sys.executable, "-c", BOOT], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    assert maker.stdout is not None
    tree = Process.of(int(maker.stdout.readline()))
    assert tree is not None
    maker.kill()
    maker.communicate()
    wait_for("the end of its processes", lambda: not tree.alive())
    left = list(state.home().glob(f"nested-{maker.pid}-*"))
    assert left
    assert left[0] in clean.clean()
    assert not left[0].exists()
