"""Forwards of the host's own 127.0.0.1 and ::1.

127.0.0.1 is translated like every other address, in the table's `loop4` (see `ruleset`); that needs route_localnet on
the guests' bridge. [::1] cannot be translated: the kernel takes no packet from or to it on another link (RFC 4291,
2.5.3). A small proxy serves it, systemd's own, which accepts a connection and opens another to the guest: TCP only, and
the guest sees the host as client.
"""

from __future__ import annotations

from collections.abc import Iterator

from guestnet.spec.world import Forward, World
from guestnet.words.families import IPV4

START = "guestnet-loopback-"  # begins the names of the units
LOCALNETS = "localnets"  # the file in the hook's folder that names the bridges of which route_localnet is to be on
_HEAD = "# Written by guestnet; goes with its forward.\n"
_PROXY = "/usr/lib/systemd/systemd-socket-proxyd"
_MOST = 1024  # connections at a time; its own default is 256

_SOCKET = """\
{head}[Unit]
Description=guestnet: [::1]:{port} is {target} of guest {guest}

[Socket]
ListenStream=[::1]:{port}

[Install]
WantedBy=sockets.target
"""

# The address stands without brackets there (systemd 252).
_SERVICE = """\
{head}[Unit]
Description=guestnet: [::1]:{port} is {target} of guest {guest}
Requires={name}.socket
After={name}.socket

[Service]
ExecStart={proxy} --connections-max={most} --exit-idle-time=1min {target}
DynamicUser=yes
CapabilityBoundingSet=
NoNewPrivileges=yes
PrivateDevices=yes
PrivateTmp=yes
ProtectHome=yes
ProtectSystem=strict
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
"""


def bridges(world: World) -> tuple[str, ...]:
    """Those whose guests serve 127.0.0.1 of the host."""
    wanted = {forward.network for _, forward in _wanted(world) if forward.target.version == IPV4}
    return tuple(network.bridge for network in world.networks if network.name in wanted)


def units(world: World) -> dict[str, tuple[str, str]]:
    """Name -> (socket, service), one for each port of [::1]; to the guest's IPv6 address if it has one."""
    targets: dict[int, tuple[str, str]] = {}
    for guest, forward in sorted(_wanted(world), key=lambda pair: pair[1].target.version):
        for shift in range(len(forward.ports) if forward.protocol == "tcp" else 0):
            port, to = forward.ports.first + shift, forward.to.first + shift
            targets[port] = (f"{forward.target}:{to}", guest)
    return {name: _texts(name, port, *target) for port, target in targets.items() for name in (f"{START}{port}",)}


def _texts(name: str, port: int, target: str, guest: str) -> tuple[str, str]:
    # A % in a unit's text begins a specifier.
    values = {"head": _HEAD, "name": name, "port": port, "target": target, "guest": guest.replace("%", "%%")}
    return _SOCKET.format(**values), _SERVICE.format(**values, proxy=_PROXY, most=_MOST)


def _wanted(world: World) -> Iterator[tuple[str, Forward]]:
    return ((guest.name, forward) for guest in world.guests for forward in guest.forwards if forward.loopback)
