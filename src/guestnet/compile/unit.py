"""guestnet.service: puts the rules back at boot, and after other firewalls were reloaded or restarted by systemd."""

from __future__ import annotations

NAME = "guestnet.service"
FILE = f"/etc/systemd/system/{NAME}"

# Whoever empties rules when it starts, stops, restarts or is reloaded, and libvirt, whose networks need the rules.
# netfilter-persistent is Debian's iptables-persistent; iptables and ip6tables are Fedora's iptables-services.
_OTHERS = ("nftables", "iptables", "ip6tables", "netfilter-persistent", "ufw", "firewalld", "docker")
_LIBVIRT = ("libvirtd", "virtnetworkd")

_TEXT = """\
# Written by guestnet; removed by guestnet destroy, or guestnet setup --remove.
#
# Forwards follow guests by libvirt's hooks. This puts rules back when no guest starts: at boot, and when another
# firewall that systemd runs has emptied them: `systemctl reload nftables` begins with `flush ruleset`, a start of
# docker or of iptables-persistent puts its own rules above ours or in their place.
#
# What it does not see:
# - Rules that are flushed by hand, and `firewall-cmd --reload`, which does not go through systemd: systemctl reload
#   guestnet. (systemd takes firewalld for started or reloaded before it empties iptables; so where firewalld runs, this
#   stays some seconds, until the rules do.)
# - A `stop` of one of the units below stops this one too: that is the price of PartOf, without which a restart would
#   not be seen. Then a reload of another is not seen until one of them, or this, is started: systemctl start guestnet.
# The admit rules and a missing table come back when the next guest starts, by the hook; everything with guestnet apply.

[Unit]
Description=Firewall rules and port forwards of libvirt guests (guestnet)
# Whatever puts or flushes rules goes first, when several start or are reloaded at once. Units that do not exist are
# passed over.
After={units}
# A reload of them reloads this; a restart of them restarts this.
ReloadPropagatedFrom={units}
PartOf={units}
# Each restart of them starts this: systemd would refuse the sixth within 10 s (systemd.unit(5), StartLimitBurst), and
# the rules would stay away.
StartLimitIntervalSec=0

[Service]
Type=oneshot
# Only an active unit hears of reloads and restarts.
RemainAfterExit=yes
# One transaction makes the whole table anew; then the admit rules are brought to the top of FORWARD. Nothing is to be
# done on stop: rules stay until guestnet destroy. And there is no condition on what apply has compiled: without that,
# this does nothing, but a unit that was passed over would not be active when the first apply has come.
ExecStart={hook} - rules
ExecReload={hook} - rules
# It gives up by itself after 10 s, where firewalld runs 25.
TimeoutStartSec=30
# nft and iptables need the network, iptables-legacy its raw socket and modprobe; /run has their locks and libvirt's
# list of guests.
CapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_RAW CAP_SYS_MODULE CAP_DAC_OVERRIDE
NoNewPrivileges=yes
ProtectSystem=full
ProtectHome=yes

[Install]
# Wanted by each of them: when one was stopped, this was too, and its start must bring this back.
WantedBy=multi-user.target {units}
"""


def text(hook: str) -> str:
    """The unit's file; `hook` is the path of the hook's program."""
    return _TEXT.format(hook=hook, units=" ".join(f"{name}.service" for name in (*_OTHERS, *_LIBVIRT)))
