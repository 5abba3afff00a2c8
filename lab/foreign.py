"""Programs of others beside whom guestnet must live: unpacked from Debian's packages into the cache, never installed.

Which packages, and where they are unpacked; how they are run in a host of a lab is told by who uses them.
"""

from __future__ import annotations

import shutil
import signal
from functools import cache
from pathlib import Path

from lab import debs
from lab.cache import REPOSITORY, digest, made
from lab.host import Host
from lab.process import wait_for

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
BASE = {"libc6", "libgcc-s1", "libc-bin", "libcrypt1"}
UFW = ("ufw",)
FIREWALLD = ("firewalld", "python3-firewall", "python3-nftables", "python3-dbus", "python3-gi", "python3-cap-ng")
FIREWALLD_MORE = ("gir1.2-glib-2.0", "ipset", "dbus-daemon", "dbus-bin")
FIREWALLD_PYTHON = ("libpython3.13-stdlib", "libpython3.13-minimal")  # the whole standard library


@cache
def libvirt() -> Path:
    """The root of Debian 13's libvirt, and of what it calls."""
    return made("trixie", digest([LIBVIRT_OF, *LIBVIRT]), _fetch_libvirt)


@cache
def ufw() -> Path:
    return made("ufw", digest([*UFW, "merged"]), lambda into: _fetch(UFW, into))


@cache
def firewalld() -> Path:
    """firewalld and a D-Bus daemon of its own, with the libraries that the machine may lack."""
    wanted = (*FIREWALLD, *FIREWALLD_MORE)
    return made("firewalld", digest([*wanted, "merged"]), lambda into: _fetch(wanted, into))


@cache
def firewalld13() -> Path:
    """Debian 13's own, for a host with Debian 13's libvirt (and its Python)."""
    wanted = (*FIREWALLD, *FIREWALLD_MORE, *FIREWALLD_PYTHON)
    return made("firewalld13", digest([LIBVIRT_OF, *wanted]), lambda into: _fetch_newer(wanted, into))


def _fetch_newer(packages: tuple[str, ...], into: Path) -> None:
    with debs.release(LIBVIRT_OF) as apt:
        apt.download({*packages, *apt.libraries(packages)}, into)


def _fetch_libvirt(into: Path) -> None:
    for name in ("bin", "sbin", "lib", "lib64"):  # packages of Debian 13 no longer have these
        (into / "usr" / name).mkdir(parents=True, exist_ok=True)
        (into / name).symlink_to(f"usr/{name}")
    with debs.release(LIBVIRT_OF) as apt:
        apt.download({*LIBVIRT, *apt.libraries(LIBVIRT)}, into)


def _fetch(packages: tuple[str, ...], into: Path) -> None:
    apt = debs.own()
    # The C library and its like are the machine's: they must fit one another.
    apt.download({*packages, *(apt.libraries(packages) - BASE)}, into)
    for name in ("bin", "sbin", "lib"):  # as a machine has them since Debian 12
        if (into / name).is_dir():
            shutil.copytree(into / name, into / "usr" / name, symlinks=True, dirs_exist_ok=True)
            shutil.rmtree(into / name)


# Over the machine's own programs, for what runs in the host; what is written there stays in memory. It ends with the
# host's next boot.
LAY = """
mkdir -p /run/lab/over /run/lab/local
mount -t tmpfs tmpfs /run/lab/over
mkdir -p /run/lab/over/upper /run/lab/over/work
mount --bind /usr/local /run/lab/local
mount -t overlay -o lowerdir={trees}:/usr,upperdir=/run/lab/over/upper,workdir=/run/lab/over/work overlay /usr
mount --bind /run/lab/local /usr/local
"""


def lay(host: Host, *trees: Path) -> None:
    """Put unpacked programs over the machine's own in a host, all at once: overlays over overlays have an end."""
    host.shell(LAY.format(trees=":".join(f"{tree}/usr" for tree in trees)))


# Its libvirt without the machine's QEMU, which would be probed, and without the machine's drivers. guestnet keeps the
# Python of its environment.
DEBIAN13 = """
rm /usr/bin/qemu-system-*
ln -sf python3.13 /usr/bin/python3
mount --bind {tree}{drivers} {drivers}
mkdir /run/lab/bin
ln -s /usr/bin/python3.11 /run/lab/bin/python
mount -t overlay -o lowerdir=/run/lab/bin:{bin} overlay {bin}
"""
DRIVERS = "/usr/lib/x86_64-linux-gnu/libvirt"
TC = """#!/bin/sh
# The machine's kernel may have no act_csum, which libvirt's nftables backend asks for.
case "$*" in *"action csum"*) exit 0 ;; esac
exec /usr/sbin/tc "$@"
"""


def debian13(host: Host, *more: Path) -> None:
    """Debian 13's programs in a host that was started without libvirtd, and libvirt's nftables backend chosen. `more`:
    trees beside them."""
    lay(host, libvirt(), *more)
    host.shell(DEBIAN13.format(tree=libvirt(), drivers=DRIVERS, bin=REPOSITORY / ".venv" / "bin"))
    host.write("/usr/local/sbin/tc", TC)
    host.shell("chmod 755 /usr/local/sbin/tc")
    host.write("/etc/libvirt/network.conf", 'firewall_backend = "nftables"\n')


# What the package's postinst does. IPV6 is on by default.
UFW_SETUP = """
cp -r {tree}/etc/ufw {tree}/etc/default {tree}/etc/ufw/applications.d /etc/ 2>/dev/null || true
cp /usr/share/ufw/ufw.conf /etc/ufw/
cp /usr/share/ufw/iptables/* /etc/ufw/
"""


def put_ufw(host: Host) -> None:
    """The program `ufw`, not enabled."""
    lay(host, ufw())
    set_up_ufw(host)


def set_up_ufw(host: Host) -> None:
    """Its files in /etc, where its tree is laid already."""
    host.shell(UFW_SETUP.format(tree=ufw()))


# The policy is that of Debian's session.conf: everybody may do everything.
BUS = """<busconfig><type>system</type><listen>unix:path=/run/dbus/system_bus_socket</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/>
<allow own="*"/></policy></busconfig>
"""
ACTIONS = "/usr/share/polkit-1/actions/org.fedoraproject.FirewallD1"


class Firewalld:
    """firewalld in a host, on a D-Bus of its own; start the bus before libvirtd, which looks for it only then. `laid`:
    its tree, where that stands in the host's /usr already (see `debian13`)."""

    def __init__(self, host: Host, laid: Path | None = None) -> None:
        self._host = host
        if laid is None:
            lay(host, firewalld())
        tree = laid or firewalld()
        host.shell(f"cp -r {tree}/etc/firewalld /etc/\ncp {ACTIONS}.server.policy.choice {ACTIONS}.policy")
        host.write("/run/dbus.conf", BUS)
        host.write("/etc/machine-id", "0123456789abcdef0123456789abcdef\n")
        host.shell("mkdir -p /run/dbus /run/firewalld; dbus-daemon --config-file=/run/dbus.conf --fork")

    def start(self) -> None:
        self._host.shell("firewalld --nofork --nopid >/run/firewalld.log 2>&1 &")
        wait_for("firewalld to run", lambda: self.state() == "running", timeout=30, interval=0.2)

    def stop(self) -> None:
        pid = self._host.run(["pgrep", "-f", "/usr/sbin/firewalld|^firewalld"]).stdout.split()[0]
        self._host.kill(int(pid), signal.SIGTERM)
        wait_for("the end of firewalld", lambda: self.state() != "running", timeout=30, interval=0.2)

    def cmd(self, *words: str) -> str:
        return self._host.run(["firewall-cmd", *words]).stdout

    def state(self) -> str:
        return self._host.run(["firewall-cmd", "--state"], check=False).stdout.strip()
