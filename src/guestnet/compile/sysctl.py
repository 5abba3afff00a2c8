"""/etc/sysctl.d/90-guestnet.conf: what must be so again after a reboot."""

from __future__ import annotations

from collections.abc import Mapping

FILE = "/etc/sysctl.d/90-guestnet.conf"


def conf(settings: Mapping[str, str]) -> str:
    """Keys are written with slashes (sysctl.d(5)): a NIC's name may hold dots."""
    lines = ["# Written by guestnet apply; removed by guestnet destroy."]
    return "\n".join([*lines, *(f"{key} = {value}" for key, value in settings.items())]) + "\n"
