"""What the nested machine is made of: an emulator with an SR-IOV NIC, a full kernel, and our own few files.

All of it comes from Debian packages that are unpacked and never installed. The machine's user land is not here: it is
that of the machine which the tests run on, see `nested`.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lab import debs, image, process, programs
from lab.cache import LAB, digest, made
from lab.kernel import Release, busybox, copy_modules, kernel

SCRIPTS = LAB / "nested"
OURS = Path("usr/lib/guestnet-lab")
"""Where the machine has our own files, below its root."""

# Debian 12's QEMU is 7.2; igb came with 8.0.
EMULATOR_OF = "trixie"
EMULATOR = ("qemu-system-x86", "qemu-system-data", "seabios")
LOADER = "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"

# What each initramfs loads, by the script that is its init.
INITRAMFS = {"init": ("virtio_pci", "9p", "9pnet_virtio", "overlay"), "guest-init": ("igbvf",)}


@dataclass(frozen=True)
class Parts:
    """kernel, initramfs: to boot the machine from. usr: what to put over the machine's /usr."""

    kernel: Path
    initramfs: Path
    usr: Path


@cache
def emulator() -> tuple[str, ...]:
    """The words that start Debian 13's QEMU: through its own loader, with its own libraries and firmware."""
    tree = made("emulator", digest([EMULATOR_OF, *EMULATOR]), _fetch_emulator)
    libraries = tree / Path(LOADER).parent
    firmware = [word for name in ("qemu", "seabios") for word in ("-L", str(tree / "usr/share" / name))]
    return (str(tree / LOADER), "--library-path", str(libraries), str(tree / "usr/bin/qemu-system-x86_64"), *firmware)


@cache
def parts(release: Release) -> Parts:
    """The kernel and what goes with it; makes what is missing or made of something that has changed."""
    ours = [path.read_bytes() for path in (*sorted(SCRIPTS.iterdir()), Path(__file__))]
    key = digest([str(kernel(release)), str(busybox()), str(programs.path("reaper")), *ours])
    built = made("nested", key, lambda into: _build(kernel(release), into))
    return Parts(kernel(release) / "vmlinux", built / "init.cpio", built / "usr")


def _fetch_emulator(into: Path) -> None:
    with debs.release(EMULATOR_OF) as apt:
        files = apt.download({*EMULATOR, *apt.libraries(EMULATOR)}, into)
    (into / "manifest").write_text("".join(f"{file}\n" for file in files))


def _build(made_kernel: Path, into: Path) -> None:
    ours = into / OURS
    for source in (busybox(), image.packages() / "usr/sbin/qemu-ga", programs.path("reaper"), SCRIPTS / "boot"):
        _copy(source, ours / source.name)
    # Links: a change of our scripts makes all this anew, and the kernel is 80 MB.
    os.link(made_kernel / "vmlinux", ours / "vmlinux")
    # The machine may have no kmod. The kernel calls this one, and libvirt does, too.
    (into / "usr/sbin").mkdir()
    (into / "usr/sbin/modprobe").symlink_to(f"/{OURS}/busybox")
    shutil.copytree(made_kernel / "modules", into / "usr/lib/modules", copy_function=os.link)
    (modules,) = (made_kernel / "modules").iterdir()
    _initramfs("init", modules, into / "init.cpio")
    _initramfs("guest-init", modules, ours / "guest.cpio")


def _initramfs(script: str, modules: Path, archive: Path) -> None:
    root = archive.with_suffix(".root")
    for directory in ("proc", "sys", "dev", "lower", "upper", "root"):
        (root / directory).mkdir(parents=True)
    _copy(busybox(), root / "bin/busybox")
    _copy(SCRIPTS / script, root / "init")
    # What is built into the kernel is no file.
    wanted = [path for name in INITRAMFS[script] for path in modules.rglob(f"{name}.ko")]
    copy_modules(wanted, modules, root / "lib/modules" / modules.name)
    (root / "lib/modules/wanted").write_text("".join(f"{path.stem}\n" for path in wanted))
    with archive.open("wb") as out:
        process.pack("".join(f"{path.relative_to(root)}\n" for path in sorted(root.rglob("*"))), cwd=root, out=out)
    shutil.rmtree(root)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)
