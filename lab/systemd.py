"""A real systemd as process 1 beside a lab's host: same network, same /etc, /run and /var/lib. For tests of units.

It must not do what a systemd does at boot to a machine: it finds no units but those of the lab's own /etc and the few
copied here, runs no generators, and sees all else of the machine's disk read-only, /tmp hidden. Both are needed: with
Debian's own units, systemd-tmpfiles would empty the machine's /tmp.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from lab.cache import REPOSITORY
from lab.host import GUESTNET, Host
from lab.process import Word, wait_for

UNITS = Path("/usr/lib/systemd/system")
# Debian's own: targets that units have by default, and nftables' service.
COPIED = ("sysinit.target", "basic.target", "multi-user.target", "shutdown.target", "nftables.service")

BOOT = """
set -eu
[ -e /etc/systemd/of-the-lab ] || rm -rf /etc/systemd/system  # the machine's own; after a reboot it is the lab's
mkdir -p /etc/systemd/system /etc/systemd/of-the-lab /run/lab/units /run/lab/none /run/systemd
mkdir -p /run/lab/cgroups /run/lab/checkout
cp {units} /run/lab/units/
mount -t cgroup2 cgroup2 /run/lab/cgroups
mkdir /run/lab/cgroups/{cgroup}
echo $$ > /run/lab/cgroups/{cgroup}/cgroup.procs
exec unshare --cgroup --pid --mount --propagation private --mount-proc --fork --kill-child sh -euc '
mount -o remount,bind,ro /
mount --bind {checkout} /run/lab/checkout
mount -t tmpfs tmpfs /tmp
mkdir -p {checkout}  # when it is below /tmp, or there already
mount --bind /run/lab/checkout {checkout}
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
mount --bind /proc/sys/net /proc/sys/net
mount -o remount,bind,rw /proc/sys/net
mount -t cgroup2 cgroup2 /sys/fs/cgroup
! touch /usr/lib/x /var/tmp/x 2> /dev/null || exit 1
exec env -i container=lab PATH=/usr/sbin:/usr/bin:/sbin:/bin \
  SYSTEMD_UNIT_PATH=/etc/systemd/system:/run/lab/units \
  SYSTEMD_GENERATOR_PATH=/run/lab/none SYSTEMD_ENVIRONMENT_GENERATOR_PATH=/run/lab/none \
  /usr/lib/systemd/systemd --system --unit=multi-user.target --log-target=null
'
"""


class Systemd:
    """`with Systemd(host) as systemd:` boots it, and ends it with all that it runs. At most one a host."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._cgroup = f"guestnet-lab-{os.getpid()}-{host.init.pid}"
        self._holder: subprocess.Popen[str] | None = None
        self._pid = ""

    def __enter__(self) -> Self:
        units = " ".join(str(UNITS / name) for name in COPIED)
        script = BOOT.format(units=units, cgroup=self._cgroup, checkout=shlex.quote(str(REPOSITORY)))
        self._holder = self._host.popen(["sh", "-c", script], stdout=subprocess.DEVNULL)
        try:
            self._pid = wait_for("systemd to start", self._find)
            wait_for("systemd to have booted", self._booted, timeout=20)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._holder is not None:
            self._host.send_signal(self._holder, signal.SIGKILL)  # unshare, which takes systemd with it
            self._holder.kill()
            self._holder.communicate()
        # The tree of cgroups is the machine's: nothing of ours may stay in it.
        remove = f"find /run/lab/cgroups/{self._cgroup} -depth -type d -exec rmdir {{}} + 2>/dev/null"
        wait_for(
            "the end of systemd's cgroups", lambda: self._host.run(["sh", "-c", remove], check=False).returncode == 0
        )
        self._host.shell("umount /run/lab/cgroups")

    def run(self, argv: Sequence[Word], *, check: bool = True, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a command in the host, among systemd's processes: it answers nobody else."""
        return self._host.run(["nsenter", "-t", self._pid, "-m", "-p", "-C", "--", *argv], check=check, timeout=timeout)

    def systemctl(self, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.run(["systemctl", "--no-pager", *args], check=check)

    def guestnet(self, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.run([GUESTNET, *args], check=check, timeout=120)

    def state(self, unit: str) -> str:
        """active, inactive, failed ..."""
        return self.systemctl("is-active", unit, check=False).stdout.strip()

    def _find(self) -> str:
        found = self._host.run(["pgrep", "-f", "^/usr/lib/systemd/systemd --system"], check=False).stdout.split()
        return found[0] if found else ""

    def _booted(self) -> bool:
        return self.systemctl("is-system-running", check=False).stdout.strip() in ("running", "degraded")
