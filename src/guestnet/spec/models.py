"""The file as it is written: frozen models, one class a mapping of the file. The JSON schema comes from here.

A model judges its own values only. Rules between values are in `check`, so that one wrong value hides no other problem.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Interface, IPv6Network
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetJsonSchemaHandler, model_validator
from pydantic_core.core_schema import CoreSchema

from guestnet.spec import forwards, values
from guestnet.spec.forwards import Listen, Source
from guestnet.spec.values import refusal
from guestnet.words import modes
from guestnet.words.addresses import HOST_BITS6
from guestnet.words.ports import WHOLE, PortRange, every_port
from guestnet.words.problems import WrongError

EVERYBODY: dict[int, Source] = {4: IPv4Network("0.0.0.0/0"), 6: IPv6Network("::/0")}
CONFIG = ConfigDict(extra="forbid", frozen=True)


def _nothing_is(empty: type) -> BeforeValidator:
    """A key with nothing behind it is an empty mapping or list, as when its lines are commented out."""
    return BeforeValidator(lambda value: empty() if value is None else value)


def _address_alone(value: Any) -> Any:
    return value if isinstance(value, dict) else {"address": value}


def _or_text(schema: dict[str, Any], *kinds: str) -> dict[str, Any]:
    return {"anyOf": [*({"type": kind} for kind in kinds), schema]}


class Side4(BaseModel):
    """`ipv4:` of a network; `lease` in seconds, None is dnsmasq's own hour."""

    model_config = CONFIG
    address: values.Address4 = "auto"
    dhcp: values.Flag = True
    ranges: values.Ranges4 | None = None
    lease: values.Lease | None = None

    _short = model_validator(mode="before")(_address_alone)

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return _or_text(handler(core), "string")


class Side6(BaseModel):
    """`ipv6:` of a network; a range may be host parts. `lease` in seconds. `prefix`: which global addresses its guests
    have; `ndp_proxy` belongs to the uplink's."""

    model_config = CONFIG
    address: values.Address6 = "auto"
    prefix: values.Prefix6 | None = None
    ndp_proxy: values.Flag = False
    dhcp: values.Flag = True
    ranges: values.Ranges6 | None = None
    lease: values.Lease | None = None

    _short = model_validator(mode="before")(_address_alone)

    @model_validator(mode="after")
    def _first(self) -> Side6:
        """In a prefix of its own the host has the first address, unless it says another."""
        prefix = self.prefix
        if not isinstance(prefix, IPv6Network) or prefix.prefixlen != HOST_BITS6 or self.address != "auto":
            return self
        first = IPv6Interface((prefix.network_address + 1, prefix.prefixlen))
        return self.model_copy(update={"address": first})

    @property
    def shared(self) -> bool:
        """Whether its guests have addresses of the uplink's own prefix."""
        return isinstance(self.prefix, str)

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return _or_text(handler(core), "string")


class Nat(BaseModel):
    """`nat:` of a network; `ipv6` None: yes where the network has IPv6."""

    model_config = CONFIG
    ipv6: values.Flag | None = None
    ports: values.Ports | None = None


class Inbound(BaseModel):
    """`inbound:` of a network: whether those outside open connections to its guests; None is what the mode does."""

    model_config = CONFIG
    ipv4: values.Door | None = None
    ipv6: values.Door | None = None

    _short = model_validator(mode="before")(
        lambda value: value if isinstance(value, dict) else {"ipv4": value, "ipv6": value}
    )

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return _or_text(handler(core), "string")


class Egress(BaseModel):
    """`egress:` of a network: where its guests may not connect to. `private`: RFC 1918, ULA and the like; `host`: the
    host's own services but DHCP and DNS."""

    model_config = CONFIG
    deny: values.Deny = ()


class Route(BaseModel):
    """A further subnet that one of the guests routes to; `via` is that guest's address."""

    model_config = CONFIG
    to: values.Subnet
    via: values.Ip


class Dns(BaseModel):
    """The network's own DNS server: whom it asks, and names it knows by itself."""

    model_config = CONFIG
    forwarders: values.Ips = ()
    hosts: Annotated[dict[values.HostName, values.Ips], _nothing_is(dict)] = {}


class Rate(BaseModel):
    """KiB a second on average and at most, and how many KiB may go at the latter."""

    model_config = CONFIG
    average: values.Kibibytes
    peak: values.Kibibytes | None = None
    burst: values.Kibibytes | None = None


class Bandwidth(BaseModel):
    """Of all guests of the network together; inbound is towards them."""

    model_config = CONFIG
    inbound: Rate | None = None
    outbound: Rate | None = None


class Network(BaseModel):
    """Which keys belong to which mode: `words.modes.KEYS`. `host_access` None: none if isolated, else full. `stp` None:
    on in a bridge of libvirt's; off towards the LAN, whose switches may close a port that speaks it (BPDU guard)."""

    model_config = CONFIG
    mode: values.Mode
    bridge: values.Bridge | None = None
    interface: values.Nic | None = None
    macvtap: values.Macvtap | None = None
    pf: values.Nic | None = None
    devices: values.PciAddresses = ()
    interfaces: values.Nics = ()
    vlan: values.Vlan | None = None
    mac: values.Mac | None = None
    ipv4: Side4 = Side4()
    ipv6: Side6 = Side6()
    nat: Nat | None = None
    uplink: values.Nic | None = None
    proxy_arp: values.Flag = False
    inbound: Inbound = Inbound()
    egress: Egress = Egress()
    host_access: values.HostAccess | None = None
    guest_isolation: values.Flag = False
    domain: values.Domain | None = None
    dns: Dns = Dns()
    routes: Annotated[tuple[Route, ...], _nothing_is(list)] = ()
    mtu: values.Mtu | None = None
    bandwidth: Bandwidth = Bandwidth()
    autostart: values.Flag = True
    stp: values.Flag | None = None

    @property
    def on_lan(self) -> bool:
        """Whether its guests are on the LAN, and have their addresses from there."""
        return self.mode in modes.LAN


class Forward(BaseModel):
    """A forward in either form; `listen` () is any, `sources` (`from:`) () is everybody. `to` is as long as `ports`.
    With protocol `all` it is whole addresses of the host, and names no ports."""

    model_config = CONFIG
    ports: values.Ports
    to: values.Ports | None = None
    protocol: values.Protocols = "tcp"
    listen: values.Listen = ()
    sources: Annotated[values.Sources, Field(alias="from")] = ()
    family: values.Family = "both"
    network: values.NetworkName | None = None
    loopback: values.Flag = False
    enabled: values.Flag = True
    description: values.Words = ""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        if isinstance(value, dict) and value.get("protocol") == WHOLE:
            return _whole(value)
        if isinstance(value, (dict, list)) or value is None:
            return value
        try:
            short = forwards.parse(values.as_text(value, "4023:22"))
        except WrongError as error:
            raise refusal(error.what, error.todo) from None
        listen = "any" if short.listen is None else str(short.listen)
        if short.protocol == WHOLE:
            return _whole({"protocol": WHOLE, "listen": listen})
        return {"ports": str(short.ports), "to": str(short.to), "protocol": short.protocol, "listen": listen}

    @model_validator(mode="after")
    def _fits(self) -> Forward:
        try:
            forwards.same_length(self.ports, self.target)
        except WrongError as error:
            raise refusal(error.what, error.todo) from None
        for address in self.listen:
            if not isinstance(address, str) and self.family not in ("both", f"ipv{address.version}"):
                todo = f"leave family out, or write ipv{address.version}"
                raise refusal(f"family {self.family} does not fit in with listen {address}", todo)
            if not isinstance(address, str) and not self.admitted(address.version):
                what = f"nobody in from can reach {address}: no network of IPv{address.version} is in it"
                raise refusal(what, "add one, or listen on an address of the other family")
        if self.protocol == WHOLE and (not self.listen or any(isinstance(one, str) for one in self.listen)):
            raise refusal("protocol all gives away whole addresses of the host", "name them: listen: 203.0.113.5")
        if self.family != "both" and not self.admitted(int(self.family[-1])):
            raise refusal(f"family {self.family} and no such network in from", f"add one of IPv{self.family[-1]}")
        return self

    def admitted(self, version: int) -> tuple[Source, ...]:
        """Who may connect by this family, 4 or 6; everybody is 0.0.0.0/0 or ::/0."""
        if not self.sources:
            return (EVERYBODY[version],)
        return tuple(source for source in self.sources if source.version == version)

    @property
    def target(self) -> PortRange:
        return self.to or self.ports

    @property
    def listeners(self) -> tuple[Listen | None, ...]:
        return self.listen or (None,)

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return _or_text(handler(core), "integer", "string")


def _whole(value: dict[str, Any]) -> dict[str, Any]:
    """A forward of whole addresses: it is of every port."""
    for key in ("ports", "to", "from", "loopback"):
        if key in value:
            raise refusal(f"{key} does not fit in with protocol all, a whole address", f"remove {key}")
    return value | {"ports": str(every_port())}


class Nic(BaseModel):
    """A guest in a network; `ipv6` may be a host part such as ::10."""

    model_config = CONFIG
    network: values.NetworkName
    mac: values.Mac | None = None
    ipv4: values.Ip4 | None = None
    ipv6: values.Ip6 | None = None


class Guest(BaseModel):
    """A guest; `network`, `mac`, `ipv4` and `ipv6` are its only NIC, or `nics` has them all.
    `prefer_ipv6`: its /etc/gai.conf puts IPv6 first."""

    model_config = CONFIG
    network: values.NetworkName | None = None
    mac: values.Mac | None = None
    ipv4: values.Ip4 | None = None
    ipv6: values.Ip6 | None = None
    nics: Annotated[tuple[Nic, ...], _nothing_is(list)] = ()
    prefer_ipv6: values.Flag = False
    forwards: Annotated[tuple[Forward, ...], _nothing_is(list)] = ()

    _empty = model_validator(mode="before")(lambda value: {} if value is None else value)

    @property
    def all_nics(self) -> tuple[Nic, ...]:
        """Its NICs in the order of the file, however they are written."""
        if self.nics or self.network is None:
            return self.nics
        return (Nic.model_construct(network=self.network, mac=self.mac, ipv4=self.ipv4, ipv6=self.ipv6),)

    def nic_of(self, forward: Forward) -> Nic | None:
        """The NIC that a forward goes to: the named or the first one."""
        fits = (nic for nic in self.all_nics if forward.network in (None, nic.network))
        return next(fits, None)


class Spec(BaseModel):
    """The whole file."""

    model_config = CONFIG
    networks: Annotated[dict[values.NetworkName, Network], _nothing_is(dict)] = {}
    guests: Annotated[dict[values.GuestName, Guest], _nothing_is(dict)] = {}

    @property
    def virtual(self) -> dict[str, Network]:
        """The networks that libvirt makes a bridge and addresses for."""
        return {name: network for name, network in self.networks.items() if not network.on_lan}
