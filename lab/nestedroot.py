"""The root that is lent to the nested machine: this machine's programs, the checkout, and a fresh libvirt's folders.

Of /etc it has what programs need to find libraries, users and one another. Nothing else is lent: no keys, no passwords,
and no configuration that tests would come to depend on.
"""

from __future__ import annotations

from pathlib import Path
from shlex import quote

from lab.cache import REPOSITORY
from lab.disk import INSTALL, LIBVIRTD_CONF, QEMU_CONF
from lab.libvirtd import CAPABILITIES, kept_capabilities
from lab.namespace import Namespace

ROOT = "/run/lab/root"
ETC = (
    "alternatives",
    "debian_version",
    "group",
    "iproute2",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "nsswitch.conf",
    "os-release",
    "passwd",
    "protocols",
    "services",
)
LEND = f"""
mkdir -p {ROOT} && cd {ROOT}
mkdir -p dev etc proc root run sys usr var/cache var/lib var/log
mkdir -m 1777 tmp var/tmp
ln -s /run var/run
for d in bin sbin lib lib64; do ln -s usr/$d $d; done
mount -t overlay -o lowerdir={{usr}}:/usr usr usr
for f in {" ".join(ETC)}; do [ ! -e /etc/$f ] || cp -a /etc/$f etc/; done
mkdir -p .{{checkout}}
mount --bind {{checkout}} .{{checkout}}
"""
FILES = {
    "/etc/hostname": "nested\n",
    "/etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "/etc/libvirt/qemu.conf": QEMU_CONF,
    "/etc/libvirt/libvirtd.conf": LIBVIRTD_CONF,
}


def lend(outside: Namespace, usr: Path) -> None:
    """Make it at ROOT in a namespace; `usr` goes over the machine's /usr."""
    outside.shell(LEND.format(usr=quote(str(usr)), checkout=quote(str(REPOSITORY))))
    outside.run(["chroot", ROOT, "sh", "-euc", INSTALL])
    for path, text in FILES.items():
        outside.write(f"{ROOT}{path}", text)
    if kept_capabilities().is_dir():
        # What QEMU can do, as a lab's libvirtd has found out. This one takes it over, as the programs are the same.
        outside.run(["cp", "-r", kept_capabilities(), f"{ROOT}{CAPABILITIES}"])
