"""A host's disk: the directory that outlives its reboots, and how it is mounted.

/etc, /var/lib and /usr/local are overlays over the machine's own, /var/log and /var/cache are private; /run and /dev
are new at each boot. The machine's own libvirt configuration, sysctls, and guestnet's files are hidden.
"""

from __future__ import annotations

from pathlib import Path

# Names of nodes in /dev that are made anew, with their numbers; kvm is left out on purpose.
DEVICES = {
    "null": (1, 3),
    "zero": (1, 5),
    "full": (1, 7),
    "random": (1, 8),
    "urandom": (1, 9),
    "tty": (5, 0),
    "net/tun": (10, 200),
}

DEV = "\n".join(
    [
        "mount -t tmpfs -o mode=755 tmpfs /dev",
        "mkdir /dev/net /dev/pts /dev/shm",
        *(f"mknod -m 666 /dev/{name} c {major} {minor}" for name, (major, minor) in DEVICES.items()),
        "mount -t devpts -o newinstance,gid=5,mode=620,ptmxmode=666 devpts /dev/pts",
        "mount -t tmpfs -o mode=1777 tmpfs /dev/shm",
        "ln -s pts/ptmx /dev/ptmx",
        "ln -s /proc/self/fd /dev/fd",
        "ln -s /proc/self/fd/0 /dev/stdin",
        "ln -s /proc/self/fd/1 /dev/stdout",
        "ln -s /proc/self/fd/2 /dev/stderr",
    ]
)

# Through the overlays, so that the machine's own files stay as they are.
INSTALL = """
rm -rf /etc/libvirt/hooks /etc/libvirt/qemu /etc/libvirt/storage /etc/libvirt/secrets /etc/guestnet /etc/sysctl.d
mkdir -p /etc/libvirt/hooks /etc/libvirt/qemu/networks/autostart /etc/sysctl.d
rm -rf /var/lib/libvirt /var/lib/guestnet
mkdir -p /var/lib/libvirt/dnsmasq /var/lib/libvirt/qemu /var/lib/libvirt/images /var/lib/libvirt/boot
mkdir -p /var/lib/libvirt/network
mkdir -p /var/log/libvirt/qemu /var/cache/libvirt/qemu
rm -f /etc/resolv.conf /etc/sysctl.conf /etc/nftables.conf
"""

QEMU_CONF = """
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
cgroup_controllers = [ ]
namespaces = [ ]
"""

LIBVIRTD_CONF = """
auth_unix_ro = "none"
auth_unix_rw = "none"
log_level = 3
log_outputs = "3:file:/var/log/libvirt/libvirtd.log"
"""


class Disk:
    """The state of one host, in a directory of the lab."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.installed = False

    def mount(self) -> str:
        """The shell script that mounts it in a new mount namespace."""
        lines = []
        for part in ("/etc", "/var/lib", "/usr/local"):
            upper, work = self._part(part, "upper"), self._part(part, "work")
            lines.append(f"mount -t overlay -o lowerdir={part},upperdir={upper},workdir={work} overlay {part}")
        lines += [f"mount --bind {self._part(part, 'own')} {part}" for part in ("/var/log", "/var/cache")]
        return "\n".join([*lines, DEV])

    def _part(self, part: str, kind: str) -> Path:
        directory = self.directory / (part.strip("/").replace("/", "-") + "." + kind)
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o755)
        return directory
