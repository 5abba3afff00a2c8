"""Programs of others beside whom guestnet must live: unpacked from Debian's packages into the cache, never installed.

Which packages, and where they are unpacked; how they are run in a host of a lab is told by who uses them.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from lab import debs
from lab.cache import REPOSITORY, digest, made
from lab.host import Host

# Debian 13's libvirt 11.3 has the nftables backend (libvirt 10.4), and its nft is 1.1.3. Its hook runs under that
# release's Python 3.13. QEMU is not here: networks need none.
LIBVIRT_OF = "trixie"
LIBVIRT = (
    *("libvirt-daemon", "libvirt-daemon-common", "libvirt-daemon-config-network", "libvirt-daemon-system"),
    *(f"libvirt-daemon-driver-{name}" for name in ("qemu", "network", "nodedev", "secret", "interface", "nwfilter")),
    *("libvirt-daemon-driver-storage", "libvirt-daemon-log", "libvirt-daemon-lock", "libvirt-clients"),
    *("dnsmasq-base", "nftables", "iptables", "iproute2", "conntrack", "python3-minimal", "python3.13-minimal"),
    *("dash", "bash", "coreutils", "util-linux", "libc-bin", "procps", "kmod", "grep", "sed", "base-files", "mount"),
)
UFW = ("ufw",)
FIREWALLD = ("firewalld", "python3-firewall", "python3-nftables", "python3-dbus", "python3-gi", "python3-cap-ng")
FIREWALLD_MORE = ("gir1.2-glib-2.0", "ipset", "dbus-daemon", "dbus-bin")


@cache
def libvirt() -> Path:
    """The root of Debian 13's libvirt, and of what it calls."""
    return made("trixie", digest([LIBVIRT_OF, *LIBVIRT]), _fetch_libvirt)


@cache
def ufw() -> Path:
    return made("ufw", digest(UFW), lambda into: _fetch(UFW, into))


@cache
def firewalld() -> Path:
    """firewalld and a D-Bus daemon of its own, with the libraries that the machine may lack."""
    wanted = (*FIREWALLD, *FIREWALLD_MORE)
    return made("firewalld", digest(wanted), lambda into: _fetch(wanted, into))


def _fetch_libvirt(into: Path) -> None:
    for name in ("bin", "sbin", "lib", "lib64"):  # as usrmerge has it: packages of Debian 13 no longer have these
        (into / "usr" / name).mkdir(parents=True, exist_ok=True)
        (into / name).symlink_to(f"usr/{name}")
    with debs.release(LIBVIRT_OF) as apt:
        apt.download({*LIBVIRT, *apt.libraries(LIBVIRT)}, into)


def _fetch(packages: tuple[str, ...], into: Path) -> None:
    apt = debs.own()
    apt.download({*packages, *apt.libraries(packages)}, into)


# Debian 13's programs over the machine's own, for what runs in the host; its libvirt without the machine's QEMU, which
# would be probed, and without the machine's drivers. guestnet keeps the Python of its environment.
DEBIAN13 = """
mkdir -p /run/lab/over /run/lab/bin /run/lab/local
mount -t tmpfs tmpfs /run/lab/over
mkdir -p /run/lab/over/bin
for program in /usr/bin/qemu-system-*; do mknod /run/lab/over/bin/${{program##*/}} c 0 0; done
ln -s python3.13 /run/lab/over/bin/python3
ln -s /usr/bin/python3.11 /run/lab/bin/python
mount --bind /usr/local /run/lab/local
mount -t overlay -o lowerdir=/run/lab/over:{tree}/usr:/usr overlay /usr
mount --bind /run/lab/local /usr/local
mount --bind {tree}{drivers} {drivers}
mount -t overlay -o lowerdir=/run/lab/bin:{bin} overlay {bin}
"""
DRIVERS = "/usr/lib/x86_64-linux-gnu/libvirt"
TC = """#!/bin/sh
# The machine's kernel may have no act_csum, which libvirt's nftables backend asks for.
case "$*" in *"action csum"*) exit 0 ;; esac
exec /usr/sbin/tc "$@"
"""


def debian13(host: Host) -> None:
    """Put Debian 13's programs into a host that was started without libvirtd, with libvirt's nftables backend chosen.
    It ends with the host's next boot."""
    host.shell(DEBIAN13.format(tree=libvirt(), drivers=DRIVERS, bin=REPOSITORY / ".venv" / "bin"))
    host.write("/usr/local/sbin/tc", TC)
    host.shell("chmod 755 /usr/local/sbin/tc")
    host.write("/etc/libvirt/network.conf", 'firewall_backend = "nftables"\n')
