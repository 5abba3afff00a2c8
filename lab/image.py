"""The real guest's kernel and initramfs, made from Debian packages that are unpacked and never installed.

`python -m lab.image` makes what is missing and says what it did; `--refresh` takes the newest packages first.
Packages are fetched once and kept; a change of our own files makes only a new initramfs, without the network.
"""

from __future__ import annotations

import argparse
import lzma
import re
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lab import process, programs
from lab.cache import LAB, digest, forget, made
from lab.errors import CommandError, LabError

GUEST = LAB / "guest"
KERNEL = "linux-image-cloud-amd64"
PACKAGES = ("busybox-static", "dhcpcd-base", "qemu-guest-agent", "libc-bin", "libc6")
# Dependencies are followed through libraries only: adduser and its like would bring half a system.
LIBRARY = re.compile(r"lib|zlib")

# In load order: virtio_ring before virtio. A module that is built into the kernel is no file, and is passed over.
MODULES = (
    "virtio_ring",
    "virtio",
    "virtio_pci_modern_dev",
    "virtio_pci_legacy_dev",
    "virtio_pci",
    "failover",
    "net_failover",
    "virtio_net",
    "virtio_console",
    "rng-core",
    "virtio-rng",
    "button",
)
NEEDED_MODULE = "virtio_net"
PROGRAMS = ("usr/sbin/dhcpcd", "usr/sbin/qemu-ga", "usr/bin/getent")
LIBRARIES = ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu")
LOADER = "lib64/ld-linux-x86-64.so.2"


@dataclass(frozen=True)
class Image:
    kernel: Path
    initramfs: Path


@cache
def packages() -> Path:
    """The tree of unpacked packages; fetches them when they are not in the cache."""
    return made("packages", digest([KERNEL, *PACKAGES]), _fetch)


@cache
def image() -> Image:
    """The guest's kernel and initramfs; makes them when something they are made of has changed."""
    ours = [path.read_bytes() for path in (*sorted(GUEST.iterdir()), Path(__file__))]
    key = digest([(packages() / "manifest").read_text(), str(programs.path("echo").parent), *ours])
    directory = made("image", key, lambda into: _build(packages(), into))
    return Image(directory / "vmlinuz", directory / "initramfs")


def _fetch(into: Path) -> None:
    """Download and unpack the packages and the libraries they depend on, and list them in `manifest`."""
    _lists()
    wanted = sorted({_kernel_package(), *PACKAGES, *_libraries(PACKAGES)})
    # apt downloads as its own user, who must be able to write there; else it warns and goes on as root.
    with tempfile.TemporaryDirectory(prefix="guestnet-lab-packages-") as name:
        debs = Path(name)
        try:
            shutil.chown(debs, "_apt")
        except LookupError:
            debs.chmod(0o755)
        process.run(["apt-get", "-q", "download", *wanted], cwd=debs, timeout=600)
        files = sorted(debs.glob("*.deb"))
        if len(files) != len(wanted):
            raise LabError(f"apt-get download brought {len(files)} packages, not {len(wanted)}: {' '.join(wanted)}")
        for file in files:
            process.run(["dpkg-deb", "-x", file, into])
    (into / "manifest").write_text("".join(f"{file.name}\n" for file in files))


def _lists() -> None:
    """Make sure that apt knows the packages: a fresh machine or container has no lists."""
    shown = process.run(["apt-cache", "show", KERNEL], check=False)
    if shown.returncode != 0 or not shown.stdout:
        process.run(["apt-get", "-q", "update"], timeout=300)


def _kernel_package() -> str:
    """The package with the newest cloud kernel: the one that the empty package of that name depends on."""
    depends = process.run(["apt-cache", "depends", KERNEL]).stdout
    found = re.search(r"Depends: (linux-image-\S+)", depends)
    if not found:
        raise LabError(f"{KERNEL} depends on no kernel:\n{depends}")
    return found[1]


def _libraries(seeds: tuple[str, ...]) -> set[str]:
    """The libraries that the packages depend on, and that those depend on."""
    found: set[str] = set()
    todo = list(seeds)
    while todo:
        lines = process.run(["apt-cache", "depends", "--important", *todo]).stdout.splitlines()
        names = {line.split()[-1] for line in lines if "Depends: " in line and "<" not in line}
        todo = sorted(name for name in names - found if LIBRARY.match(name) and ":" not in name)
        found.update(todo)
    return found


def _build(tree: Path, into: Path) -> None:
    root = into / "root"
    for directory in (
        "bin",
        "sbin",
        "dev",
        "etc",
        "lib/modules",
        "proc",
        "sys",
        "run",
        "tmp",
        "root",
        "var/lib/dhcpcd",
    ):
        (root / directory).mkdir(parents=True)
    (root / "var/run").symlink_to("/run")
    _copy(tree / "bin/busybox", root / "bin/busybox")
    _copy_modules(tree, root)
    for program in PROGRAMS:
        _copy(tree / program, root / program)
        _copy_libraries(tree, root, tree / program)
    if (tree / "usr/lib/dhcpcd").is_dir():
        shutil.copytree(tree / "usr/lib/dhcpcd", root / "usr/lib/dhcpcd", dirs_exist_ok=True)
    for name, target in {
        "init": "init",
        "shutdown": "sbin/shutdown",
        "dhcpcd-hook": "sbin/dhcpcd-hook",
        "dhcpcd.conf": "etc/dhcpcd.conf",
    }.items():
        _copy(GUEST / name, root / target)
    _copy(programs.path("echo"), root / "bin/echo-service")
    for name in ("probe", "mirror", "call"):
        _copy(programs.path(name), root / "bin" / name)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\n")
    (root / "etc/nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files dns\n")
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n::1 localhost\n")
    (root / "etc/resolv.conf").touch()
    _pack(root, into / "initramfs")
    shutil.copy(_only(tree / "boot", "vmlinuz-*"), into / "vmlinuz")
    shutil.rmtree(root)


def _pack(root: Path, archive: Path) -> None:
    names = "".join(f"{path.relative_to(root)}\n" for path in sorted(root.rglob("*")))
    with archive.open("wb") as out:
        process.pack(names, cwd=root, out=out)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)


def _copy_modules(tree: Path, root: Path) -> None:
    copied = []
    for module in MODULES:
        found = sorted((tree / "lib/modules").rglob(f"{module}.ko*")) or sorted(
            (tree / "usr/lib/modules").rglob(f"{module}.ko*")
        )
        if not found:
            continue
        data = found[0].read_bytes()
        # Debian 13 compresses modules, and busybox's insmod does not unpack them.
        (root / "lib/modules" / f"{module}.ko").write_bytes(lzma.decompress(data) if found[0].suffix == ".xz" else data)
        copied.append(module)
    if NEEDED_MODULE not in copied:
        raise LabError(f"the kernel package holds no {NEEDED_MODULE}")
    (root / "etc/modules").write_text("".join(f"{module}\n" for module in copied))


def _copy_libraries(tree: Path, root: Path, program: Path) -> None:
    """Copy what the dynamic loader will ask for, by following the NEEDED entries inside the unpacked tree."""
    todo, done = [program], set[str]()
    while todo:
        for name in re.findall(r"\(NEEDED\).*\[(.+)\]", process.run(["readelf", "-d", todo.pop()]).stdout):
            if name in done:
                continue
            done.add(name)
            # The loader itself is also a NEEDED entry of some, at its own place.
            found = next((tree / d / name for d in LIBRARIES if (tree / d / name).exists()), None)
            if found is None:
                raise LabError(f"{program.name} needs {name}, which no unpacked package holds")
            _copy(found, root / LIBRARIES[0] / name)
            todo.append(found)
    loader = tree / LIBRARIES[0] / Path(LOADER).name
    _copy(loader if loader.exists() else tree / LIBRARIES[1] / Path(LOADER).name, root / LOADER)


def _only(directory: Path, pattern: str) -> Path:
    found = sorted(directory.glob(pattern))
    if len(found) != 1:
        raise LabError(f"{len(found)} files {pattern} in {directory}, not one")
    return found[0]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m lab.image", description="Make the lab's guest image.")
    parser.add_argument("--refresh", action="store_true", help="fetch the newest packages first")
    began = time.monotonic()
    try:
        if parser.parse_args().refresh:
            forget("packages")
            forget("image")
        made_of = (packages() / "manifest").read_text().splitlines()
        made_image = image()
    except (CommandError, LabError) as error:
        sys.stderr.write(f"lab.image: {error}\n")
        return 1
    size = made_image.initramfs.stat().st_size / 1e6
    sys.stdout.write(
        f"kernel     {made_image.kernel}\ninitramfs  {made_image.initramfs} ({size:.1f} MB)\n"
        f"packages   {len(made_of)} in {packages()}\nready after {time.monotonic() - began:.1f} s\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
