"""The changes of a host that are killed and failed: how it stands before, and the command."""

from __future__ import annotations

from dataclasses import dataclass

from lab.host import Uplink
from tests.live.conftest import MAC, SEED

SECONDS = "SECONDS"  # in a command: after how many it undoes itself
ROLLBACK, APPLY = ("rollback", "--yes"), ("apply", "--yes")


@dataclass(frozen=True)
class Guest:
    """A guest that runs, paused, so that nothing but its NIC is there: a restart of its network has to mind that."""

    name: str
    network: str
    mac: str


@dataclass(frozen=True)
class Scenario:
    """One change of a host, and all that there is to be said of it.

    verb: the command; its effects are those that are killed and failed. back, again: what leads from whatever it left
    to the old state, and forward. kinds: of decide.state, of its steps. calls: of libvirt, that are to be among them.

    before: the file that is applied before, and first: commands behind that. file: as it stands when the command
    begins ("": as it is by then). script, networks: what others have on the host. guests: which run before the command.
    nics: more NICs of the host. opened: UDP ports of it that somebody in the internet has just asked.
    """

    name: str
    kinds: frozenset[str]
    verb: tuple[str, ...] = APPLY
    before: str = ""
    file: str = ""
    first: tuple[tuple[str, ...], ...] = ()
    script: str = ""
    networks: tuple[str, ...] = ()
    guests: tuple[Guest, ...] = ()
    nics: tuple[str, ...] = ()
    opened: tuple[int, ...] = ()
    uplink: Uplink = "static"
    systemd: bool = False
    calls: frozenset[str] = frozenset()
    back: tuple[str, ...] = ROLLBACK
    again: tuple[str, ...] = APPLY

    @property
    def edits(self) -> bool:
        """Whether the file is written by the command: then what comes of `again` goes by whether it was yet."""
        return self.verb[0] in {"adopt", "release", "forward"}

    @property
    def returns(self) -> bool:
        """Whether `back` leads back from it once it is done."""
        return self.verb[0] != "destroy"

    @property
    def undoes(self) -> bool:
        """Whether it takes back by itself what it had begun, when it fails."""
        return self.verb[0] != "setup"


DEFAULT = """<network><name>default</name><forward mode='nat'/><bridge name='virbr0' stp='on' delay='0'/>
<dns><txt name='kept' value='as found'/></dns><mac address='52:54:00:aa:bb:cc'/>
<ip address='192.168.122.1' netmask='255.255.255.0'><dhcp><range start='192.168.122.2' end='192.168.122.254'/>
<host mac='52:54:00:00:00:77' ip='192.168.122.77'/></dhcp></ip></network>"""
# Somebody's firewall, whose forward chain drops: rules of ours go on top of it when they may.
DROPS = """
nft add table inet theirs
nft add chain inet theirs forward '{ type filter hook forward priority 5; policy drop; }'
nft add rule inet theirs forward ct state established,related accept
"""
WEB1 = Guest("web1", "lab", MAC)
ON_DEFAULT = Guest("mine", "default", "52:54:00:12:34:60")
CELL = """
networks:
  cell: {mode: isolated, bridge: virbr85, ipv4: 192.168.85.1/24, ipv6: none}
"""
RESTARTED = """
networks:
  lab: {mode: nat, bridge: virbr84, mtu: 1400, ipv4: 192.168.84.1/24, ipv6: auto, nat: {ipv6: true}}
  cell: {mode: isolated, bridge: virbr85, ipv4: 192.168.85.1/24, ipv6: none}
guests:
  web1: {network: lab, mac: 52:54:00:12:34:56, ipv4: 192.168.84.10, forwards: ["4999:22"]}
  db: {network: cell, mac: 52:54:00:12:34:57}
"""
LIVE = """
networks:
  lab:
    mode: nat
    bridge: virbr84
    ipv4: {address: 192.168.84.1/24, ranges: [192.168.84.100-192.168.84.200]}
    ipv6: "fd00:84::1/64"
    dns: {hosts: {a.example: 10.0.0.1}}
guests:
  web1: {network: lab, mac: 52:54:00:12:34:56, ipv4: 192.168.84.10, forwards: ["4080:80/tcp+udp"]}
"""
LIVED = """
networks:
  lab:
    mode: nat
    bridge: virbr84
    ipv4: {address: 192.168.84.1/24, ranges: [192.168.84.90-192.168.84.200], lease: 7200}
    ipv6: "fd00:84::1/64"
    dns: {hosts: {b.example: 10.0.0.2, a.example: 10.0.0.3}}
guests:
  web1: {network: lab, mac: 52:54:00:12:34:56, ipv4: 192.168.84.11, forwards: ["4080:80/tcp+udp"]}
  db: {network: lab, mac: 52:54:00:12:34:57}
"""
SHOP = Guest("shop", "shared", "52:54:00:12:34:61")
PLAIN = """
networks:
  lab: {mode: nat, bridge: virbr84, stp: false, ipv4: 192.168.84.1/24, ipv6: "fd00:84::1/64"}
  shared: {mode: nat, bridge: vshared, stp: false, ipv4: 10.9.2.1/24, ipv6: none}
guests:
  web1: {network: lab, mac: 52:54:00:12:34:56, ipv4: 192.168.84.10, forwards: ["8080:80"]}
  shop: {network: shared, mac: 52:54:00:12:34:61, ipv4: 10.9.2.10}
"""
# What is not in the others: a bridge of our own, the uplink's prefix for guests, ARP answered for, the host's [::1].
MANY = """
networks:
  lab: {mode: nat, bridge: virbr84, stp: false, ipv4: 192.168.84.1/24, ipv6: "fd00:84::1/64"}
  shared: {mode: nat, bridge: vshared, stp: false, ipv4: 10.9.2.1/24, ipv6: {prefix: uplink, ndp_proxy: true}}
  spare: {mode: bridge, bridge: br1, interface: eth1}
  dmz: {mode: routed, bridge: vdmz, stp: false, ipv4: 203.0.113.65/28, proxy_arp: true, uplink: up0, ipv6: none}
guests:
  web1:
    network: lab
    mac: 52:54:00:12:34:56
    ipv4: 192.168.84.10
    forwards: [{ports: 8080, to: 80, loopback: true}]
  shop: {network: shared, mac: 52:54:00:12:34:61, ipv4: 10.9.2.10, ipv6: "::10"}
"""
ALWAYS = frozenset({"memory", "hookdata", "table"})
NETWORK = ALWAYS | {"folder", "reservation", "network"}
STANDING = frozenset({"program", "hook"})

SCENARIOS = (
    Scenario(
        "first",
        NETWORK | STANDING | {"sysctl.d", "setting", "admit", "unit"},
        (*APPLY, "--admit"),
        file=SEED,
        script=DROPS,
        networks=(DEFAULT,),
        guests=(ON_DEFAULT,),
        uplink="ra",
        systemd=True,
        calls=frozenset({"networkDefineXML", "setAutostart", "create"}),
        again=(*APPLY, "--admit"),
    ),
    Scenario(
        "destroy",
        NETWORK | STANDING | {"sysctl.d", "setting", "admit", "unit"},
        ("destroy", "--yes"),
        before=SEED,
        networks=(DEFAULT,),
        guests=(ON_DEFAULT, WEB1),
        systemd=True,
        calls=frozenset({"destroy", "undefine"}),
        again=("destroy", "--yes"),
    ),
    Scenario(
        "adopt",
        NETWORK - {"reservation"} | {"sysctl.d"},
        ("adopt", "default", "--yes"),
        before=CELL,
        networks=(DEFAULT,),
        guests=(ON_DEFAULT,),
        calls=frozenset({"networkDefineXML"}),
    ),
    Scenario(
        "release",
        NETWORK - {"reservation"} | {"sysctl.d"},
        ("release", "default", "--yes"),
        before=CELL,
        first=(("adopt", "default", "--yes"),),
        networks=(DEFAULT,),
        guests=(ON_DEFAULT,),
        calls=frozenset({"networkDefineXML"}),
    ),
    Scenario("forward-add", ALWAYS, ("forward", "add", "web1", "4999:22", "--yes"), before=SEED, guests=(WEB1,)),
    Scenario(
        "forward-remove",
        ALWAYS,
        ("forward", "remove", "web1", "4080", "--yes"),
        before=SEED,
        guests=(WEB1,),
        opened=(4080,),
    ),
    Scenario(
        "confirm",
        ALWAYS,
        (*APPLY, "--confirm", SECONDS),
        before=SEED,
        file=SEED.replace("4023:22", "4999:22"),
        guests=(WEB1,),
    ),
    Scenario(
        "live",
        NETWORK - {"folder"},
        before=LIVE,
        file=LIVED,
        guests=(WEB1,),
        opened=(4080,),
        calls=frozenset({"update"}),
    ),
    Scenario(
        "restart",
        NETWORK,
        before=SEED,
        file=RESTARTED,
        guests=(WEB1,),
        opened=(4080,),
        calls=frozenset({"destroy", "create", "portCreateXML"}),
    ),
    Scenario(
        "many",
        NETWORK | {"sysctl.d", "setting", "bridge", "ndp", "localnet", "proxy"},
        before=PLAIN,
        file=MANY,
        guests=(WEB1, SHOP),
        nics=("eth1",),
        systemd=True,
    ),
    Scenario(
        "setup",
        STANDING | {"unit", "link", "completion"},
        ("setup",),
        systemd=True,
        back=("setup", "--remove"),
        again=("setup",),
    ),
)
# Not tried: lines in a guest's gai.conf need a guest with an agent, and five seconds each time; what becomes of those
# when the agent dies or says no is in tests/live/test_prefer_agents.py.
LEFT_OUT = frozenset({"prefer"})
