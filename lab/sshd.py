"""A machine in the fake internet that lets the lab's host in by ssh. Its sshd is unpacked and never installed: on a
machine with systemd an installed one would serve the real network from the next boot on.

All keys are the lab's own and go with it, and so does the sshd, which is a process of the fake internet's tree.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from lab import debs
from lab.cache import digest, made
from lab.inet import IPV4, IPV6, Inet
from lab.namespace import Namespace
from lab.process import wait_for

PACKAGE = "openssh-server"
NAME, USER, UID = "vps", "probe", 64002  # what ssh in the host calls it; and who is not root there
ADDRESSES = (IPV4[1], IPV6[1])
FOLDER = "/run/lab/ssh"
LIBRARIES = ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu")

CONFIG = f"""
Port 22
{"".join(f"ListenAddress {address}{chr(10)}" for address in ADDRESSES)}HostKey {FOLDER}/host
PidFile {FOLDER}/pid
AuthorizedKeysFile {FOLDER}/authorized_keys
StrictModes no
UsePAM no
PermitRootLogin yes
PasswordAuthentication no
KbdInteractiveAuthentication no
"""
# An account of its own for sshd, and one for who is nobody there; the machine's own file stays as it is.
ACCOUNTS = f"""
mkdir -p /run/sshd {FOLDER}
(grep -v -e ^sshd: -e ^{USER}: /etc/passwd; echo 'sshd:*:64001:65534::/run/sshd:/usr/sbin/nologin'
echo '{USER}:*:{UID}:65534::{FOLDER}:/bin/sh') > {FOLDER}/passwd
mount --bind {FOLDER}/passwd /etc/passwd
ssh-keygen -q -t ed25519 -N '' -f {FOLDER}/host
"""
CLIENT = f"""
Host {NAME}
  HostName {ADDRESSES[0]}
Host *
  IdentityFile {FOLDER}/key
  GlobalKnownHostsFile {FOLDER}/known_hosts
  UserKnownHostsFile /dev/null
"""


class Sshd:
    """`start` lets root of `host` in at `root@vps` and `probe@vps`."""

    def __init__(self, inet: Inet, host: Namespace) -> None:
        self._inet = inet
        self._host = host

    def start(self) -> None:
        inet, host = self._inet, self._host
        host.shell(f"mkdir -p {FOLDER} /etc/ssh/ssh_config.d; ssh-keygen -q -t ed25519 -N '' -f {FOLDER}/key")
        host.write("/etc/ssh/ssh_config.d/lab.conf", CLIENT)
        inet.shell(ACCOUNTS)
        inet.write(f"{FOLDER}/authorized_keys", host.read(f"{FOLDER}/key.pub"))
        inet.write(f"{FOLDER}/config", CONFIG)
        host.write(f"{FOLDER}/known_hosts", f"{','.join(ADDRESSES)} {inet.read(f'{FOLDER}/host.pub')}")
        tree = _tree()
        libraries = ":".join(str(tree / folder) for folder in LIBRARIES)
        sshd: list[str | Path] = [tree / "usr/sbin/sshd", "-f", f"{FOLDER}/config", "-E", f"{FOLDER}/log"]
        inet.run(sshd, env={"LD_LIBRARY_PATH": libraries})
        wait_for("sshd", lambda: inet.exists(f"{FOLDER}/pid"))

    def stop(self) -> None:
        self._inet.kill(int(self._inet.read(f"{FOLDER}/pid")))


@cache
def _tree() -> Path:
    """The unpacked package with the libraries that the machine may lack, but libc, which must be the loader's own."""
    return made("sshd", digest([PACKAGE]), _fetch)


def _fetch(into: Path) -> None:
    apt = debs.own()
    apt.download({PACKAGE, *apt.libraries([PACKAGE])} - {"libc6", "libc-bin", "libgcc-s1", "libcrypt1"}, into)
