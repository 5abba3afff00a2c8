"""A full Debian kernel as the nested machine needs it: the kernel as an ELF file, and a few of its modules.

Debian's packages hold the kernel in compressed form, and since Debian 13 the modules, too. They are unpacked here, in
seconds: a processor that is emulated, even twice, would take much longer.
"""

from __future__ import annotations

import ctypes
import lzma
import re
import shutil
import struct
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Literal

from lab import debs, image, process
from lab.cache import digest, made
from lab.errors import LabError

Release = Literal["bookworm", "trixie"]
"""Whose kernel: Debian 12's (6.1) or Debian 13's (6.12)."""

# The full kernel: the cloud kernel that the lab's other guests run has no igbvf.
PACKAGE = "linux-image-amd64"
# Folders, or single modules, below lib/modules/VERSION/kernel; what they depend on comes with them. What is built into
# the kernel is no file, and is passed over.
MODULES = (
    "crypto/crc32c_generic",
    "drivers/char/hw_random/virtio-rng",
    "drivers/char/virtio_console",
    "drivers/net/dummy",
    "drivers/net/ethernet/intel/igb",
    "drivers/net/ethernet/intel/igbvf",
    "drivers/net/macvtap",
    "drivers/net/tun",
    "drivers/net/veth",
    "drivers/vfio",
    "drivers/vhost",
    "drivers/virtio/virtio_pci",
    "fs/9p",
    "fs/overlayfs",
    "net/802",
    "net/8021q",
    "net/9p",
    "net/bridge",
    "net/ipv4",
    "net/ipv6",
    "net/netfilter",
    "net/sched",
)
XZ, ZSTD = b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"
DEPENDS = re.compile(rb"\0depends=([^\0]*)\0")  # in a module's section .modinfo


@cache
def kernel(release: Release) -> Path:
    """A directory with `vmlinux`, `modules/VERSION` with an index, and the package's name in `manifest`."""
    return made("fullkernel", digest([release, PACKAGE, *MODULES]), lambda into: _fetch(release, into))


def copy_modules(wanted: Iterable[Path], source: Path, target: Path) -> None:
    """Copy modules, unpacked, from one lib/modules/VERSION to another, and all that they depend on."""
    named = {_name(path): path for path in source.rglob("*.ko*")}
    done: set[Path] = set()
    todo = list(wanted)
    while todo:
        path = todo.pop()
        if path in done:
            continue
        done.add(path)
        data = path.read_bytes()
        if path.suffix == ".xz":
            data = lzma.decompress(data)
        copy = target / path.relative_to(source).with_name(f"{path.name.partition('.')[0]}.ko")
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(data)
        found = DEPENDS.search(data)
        needed = found[1].decode().split(",") if found else []
        todo += [named[_plain(name)] for name in needed if name]
    _index(target)


def busybox() -> Path:
    return image.packages() / "bin/busybox"


def _fetch(release: Release, into: Path) -> None:
    tree = into / "tree"
    with debs.release(release) as apt:
        files = apt.download([apt.newest(PACKAGE, r"linux-image-\S+")], tree)
    (into / "vmlinux").write_bytes(_unpacked(_only(tree, "boot/vmlinuz-*").read_bytes()))
    source = _only(tree, "usr/lib/modules/*" if (tree / "usr/lib").is_dir() else "lib/modules/*")
    target = into / "modules" / source.name
    target.mkdir(parents=True)
    for name in ("modules.order", "modules.builtin", "modules.builtin.modinfo"):
        shutil.copy(source / name, target / name)
    copy_modules([path for part in MODULES for path in _below(source / "kernel" / part)], source, target)
    shutil.rmtree(tree)
    (into / "manifest").write_text("".join(f"{file}\n" for file in files))


def _unpacked(bzimage: bytes) -> bytes:
    """The ELF file inside a bzImage (Documentation/arch/x86/boot.rst: payload_offset, payload_length)."""
    setup_sectors = bzimage[0x1F1]
    offset, length = struct.unpack_from("<II", bzimage, 0x248)
    start = (setup_sectors + 1) * 512 + offset
    # The kernel's build puts the unpacked size, 4 bytes, behind the compressed stream.
    payload, size = bzimage[start : start + length - 4], bzimage[start + length - 4 : start + length]
    if payload.startswith(XZ):
        return lzma.decompress(payload)
    if payload.startswith(ZSTD):
        return _unzstd(payload, int.from_bytes(size, "little"))
    raise LabError(f"the kernel is compressed with neither xz nor zstd: it begins with {payload[:6].hex()}")


def _unzstd(data: bytes, size: int) -> bytes:
    """Python 3.11 has no zstd; the library is on every Debian, as dpkg itself needs it."""
    library = ctypes.CDLL("libzstd.so.1")
    library.ZSTD_decompress.restype = ctypes.c_size_t
    library.ZSTD_decompress.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t]
    unpacked = ctypes.create_string_buffer(size)
    if library.ZSTD_decompress(unpacked, size, data, len(data)) != size:
        raise LabError("zstd cannot unpack the kernel")
    return unpacked.raw


def _below(part: Path) -> list[Path]:
    return sorted([*part.rglob("*.ko*"), *part.parent.glob(f"{part.name}.ko*")])


def _index(modules: Path) -> None:
    """Let busybox write down what depends on what. It looks for modules in a folder that is called lib/modules."""
    base = modules.parents[1] / f".{modules.name}"
    (base / "lib").mkdir(parents=True)
    (base / "lib/modules").symlink_to(modules.parent)
    process.run([busybox(), "depmod", "-b", base, modules.name])
    shutil.rmtree(base)


def _name(path: Path) -> str:
    return _plain(path.name.partition(".")[0])


def _plain(name: str) -> str:
    """The kernel takes - and _ in a module's name for the same."""
    return name.replace("-", "_")


def _only(directory: Path, pattern: str) -> Path:
    found = sorted(directory.glob(pattern))
    if len(found) != 1:
        raise LabError(f"{len(found)} files {pattern} in {directory}, not one")
    return found[0]
