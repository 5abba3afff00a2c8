"""The door to libvirt: networks and domains, through the official binding. Nothing outside this module imports it.

What it reads of the world: network XML, domain XML. What it changes: networks that carry our mark, nothing else.
"""

from __future__ import annotations

import contextlib
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address, ip_network
from types import TracebackType

import libvirt
import libvirt_qemu

from guestnet.compile import netxml
from guestnet.decide.facts import Domain, DomainNic, ForeignNetwork, Lease
from guestnet.decide.state import Network
from guestnet.host.run import ProgramError, run
from guestnet.words.pci import PARTS, joined
from guestnet.words.problems import AsideError, GuestnetError, SilentError
from guestnet.words.shown import shown

SYSTEM = "qemu:///system"
_AGENT = "devices/channel/target[@name='org.qemu.guest_agent.0'][@state='connected']"
_FORBIDDEN = re.compile("has been disabled|not been found|CommandNotFound|not allowed")
_FORWARDING = {"nat", "route", "open"}  # the modes for which libvirt makes the host a router

libvirt.registerErrorHandler(lambda _context, _error: None, None)  # it would print by itself


@contextlib.contextmanager
def _speaking(what: str) -> Iterator[None]:
    try:
        yield
    except libvirt.libvirtError as error:
        said = error.get_error_message()
        # iptables' words for libvirt's own chains, which it makes when it starts and which somebody flushed since.
        todo = "restart libvirtd, then try again" if "No chain/target/match by that name" in said else ""
        raise GuestnetError(f"{what}: libvirt says: {said}", todo) from error


@dataclass(frozen=True)
class Tap:
    """A running guest's end of a NIC on the host; it is on a libvirt network, or in a bridge that its guest names."""

    domain: str
    network: str
    bridge: str
    device: str

    def belongs(self, network: str, bridge: str) -> bool:
        return self.network == network or bool(bridge and self.bridge == bridge)


class Libvirt:
    """A connection to libvirt; use it with `with`."""

    def __init__(self, uri: str | None = None) -> None:
        self._uri = uri

    def __enter__(self) -> Libvirt:
        # Hooks, sysctls and firewall are written here: a libvirt elsewhere, or of another driver, is another host's.
        if self._uri is not None and not re.fullmatch(r"qemu(\+unix)?:///system(\?.*)?", self._uri):
            raise GuestnetError(
                f"{self._uri} is not the system libvirt of this host", "use qemu:///system, the default"
            )
        try:
            self._link = libvirt.open(self._uri)
        except libvirt.libvirtError as error:
            what = f"libvirt does not answer at {self._uri or 'qemu:///system'}: {error.get_error_message()}"
            todo = "start it: systemctl start libvirtd; or install it: apt install libvirt-daemon-system"
            raise GuestnetError(what, todo) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(libvirt.libvirtError):
            self._link.close()

    def version(self) -> str:
        number = int(self._link.getLibVersion())
        return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"

    def networks(self) -> tuple[dict[str, Network], tuple[ForeignNetwork, ...]]:
        """Ours by name, and everybody else's."""
        ours: dict[str, Network] = {}
        foreign = []
        with _speaking("reading the networks"):
            for net in self._link.listAllNetworks():
                with _gone_meanwhile():
                    running = net.XMLDesc() if net.isActive() else None
                    # Without a stored definition (virsh net-undefine while it runs) it is gone after its next stop.
                    stored = net.XMLDesc(libvirt.VIR_NETWORK_XML_INACTIVE) if net.isPersistent() else ""
                    if netxml.is_ours(running or stored):
                        texts = [netxml.canonical(xml) if xml else xml for xml in (stored, running)]
                        ours[net.name()] = Network(texts[0] or "", texts[1], _autostart(net))
                    else:
                        foreign.append(_foreign(net, running or stored, running is not None))
        return ours, tuple(foreign)

    def domains(self) -> tuple[Domain, ...]:
        found = []
        with _speaking("reading the guests"):
            for domain in self._link.listAllDomains():
                with _gone_meanwhile():
                    root = _xml(domain)
                    nics, its = tuple(nic for nic, _ in _nics(root)), _devices(domain)
                    running, uuid = bool(domain.isActive()), domain.UUIDString()
                    found.append(Domain(domain.name(), running, nics, its, uuid, root.find(_AGENT) is not None))
        return tuple(sorted(found, key=lambda domain: domain.name))

    def put_network(self, name: str, before: Network | None, after: Network | None) -> None:
        """Makes the network what `after` says; a running one that changes is restarted, and its taps are put back."""
        with _speaking(f"network {name}"):
            net = self._find(name)
            if net is not None and not netxml.is_ours(net.XMLDesc()):
                raise GuestnetError(f"network {name} is not guestnet's", "it is left as it is")
            if after is None:
                self._remove(net)
                return
            if net is None or before is None or before.xml != after.xml or not net.isPersistent():
                net = self._define(net, after.xml)
            if _autostart(net) != after.autostart:
                net.setAutostart(int(after.autostart))
            self._run(net, name, after.running)

    def _find(self, name: str) -> libvirt.virNetwork | None:
        try:
            return self._link.networkLookupByName(name)
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_NETWORK:
                return None
            raise

    def _remove(self, net: libvirt.virNetwork | None) -> None:
        if net is None:
            return
        persistent = net.isPersistent()
        if net.isActive():
            net.destroy()
        if persistent:
            net.undefine()

    def _define(self, net: libvirt.virNetwork | None, xml: str) -> libvirt.virNetwork:
        return self._link.networkDefineXML(netxml.with_uuid(xml, net.UUIDString()) if net else xml)

    def _run(self, net: libvirt.virNetwork, name: str, wanted: str | None) -> None:
        running = netxml.canonical(net.XMLDesc()) if net.isActive() else None
        if running is not None and running != wanted:
            net.destroy()
        if wanted is None:
            return
        if running != wanted:
            net.create()
        # net-destroy, by us or by hand, leaves running guests' taps without a bridge (libvirt 9.0).
        bridge = netxml.bridge(net.XMLDesc())
        for tap in self.taps():
            if bridge and tap.belongs(name, bridge):
                with contextlib.suppress(ProgramError):  # the guest, and its tap, may go meanwhile
                    run("ip", "link", "set", tap.device, "master", bridge)

    def taps(self) -> tuple[Tap, ...]:
        """The taps of running guests."""
        found: list[Tap] = []
        for domain in self._link.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE):
            with _gone_meanwhile():
                name = domain.name()
                found += [Tap(name, nic.network, nic.bridge, tap) for nic, tap in _nics(_xml(domain)) if tap]
        return tuple(found)

    def ask_agent(self, guest: str, message: str, seconds: int) -> str:
        """The answer of a guest's agent, as it is; libvirt waits 5 s more where the agent says nothing at all.

        Raises SilentError; or AsideError: the guest is off, has no agent, or that refuses. What it says is the guest's.
        """
        try:
            return str(libvirt_qemu.qemuAgentCommand(self._link.lookupByName(guest), message, seconds, 0))
        except libvirt.libvirtError as error:
            said = shown(error.get_error_message() or "")
            if error.get_error_code() == libvirt.VIR_ERR_AGENT_UNRESPONSIVE:
                raise SilentError(f"the agent of guest {guest}: {said}", "see whether qemu-ga runs in it") from error
            todo = "let its agent do that: see its --block-rpcs, --allow-rpcs" if _FORBIDDEN.search(said) else ""
            raise AsideError(f"the agent of guest {guest}: {said}", todo) from error

    def leases(self, network: str) -> tuple[Lease, ...]:
        """The DHCP leases in a network, the latest first; none when it does not run."""
        with _speaking(f"leases of network {network}"):
            net = self._find(network)
            given = net.DHCPLeases() if net is not None and net.isActive() else []
            latest = sorted(given, key=lambda lease: lease["expirytime"], reverse=True)
            return tuple(Lease(network, lease["mac"].lower(), ip_address(lease["ipaddr"])) for lease in latest)


def _xml(domain: libvirt.virDomain) -> ET.Element:
    return ET.fromstring(domain.XMLDesc())  # noqa: S314  libvirt's own output


def _nics(root: ET.Element) -> list[tuple[DomainNic, str]]:
    """(NIC, tap) of each NIC with a MAC, in the order of the domain's XML; no tap while the guest is off."""
    found = []
    for nic in root.findall("devices/interface"):
        source, mac, target = (
            {} if part is None else part.attrib for part in map(nic.find, ("source", "mac", "target"))
        )
        network = source.get("network", "")
        # While it runs, the source of a NIC on a network names the bridge too.
        bridge = "" if network else source.get("bridge", "")
        if "address" in mac:
            found.append((DomainNic(network, mac["address"].lower(), bridge), target.get("dev", "")))
    return found


def _devices(domain: libvirt.virDomain) -> tuple[str, ...]:
    """The PCI devices that a domain's own definition names, not those that a network gave it."""
    root = ET.fromstring(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))  # noqa: S314  libvirt's own output
    places = [*root.iterfind("devices/hostdev/source/address"), *root.iterfind("devices/interface/source/address")]
    return tuple(
        joined(*(place.attrib.get(name, "0") for name in PARTS)) for place in places if "function" in place.attrib
    )


@contextlib.contextmanager
def _gone_meanwhile() -> Iterator[None]:
    """A guest or network that goes while we look at it, as others' transient ones do, is passed over."""
    try:
        yield
    except libvirt.libvirtError as error:
        if error.get_error_code() not in (libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_NO_NETWORK):
            raise


def _autostart(net: libvirt.virNetwork) -> bool:
    return bool(net.isPersistent() and net.autostart())


def _foreign(net: libvirt.virNetwork, xml: str, running: bool) -> ForeignNetwork:
    root = ET.fromstring(xml)  # noqa: S314  libvirt's own output
    bridge, forward = root.find("bridge"), root.find("forward")
    mode = forward.get("mode", "nat") if forward is not None else ""
    return ForeignNetwork(
        name=net.name(),
        bridge=bridge.get("name", "") if bridge is not None else "",
        makes_bridge=bool(netxml.own_bridge(xml)),
        forwards=running and mode in _FORWARDING,
        running=running,
        autostart=_autostart(net),
        subnets=tuple(_subnet(part) for part in root.iterfind("*") if part.tag in ("ip", "route")),
    )


def _subnet(part: ET.Element) -> IPv4Network | IPv6Network:
    """Of an <ip> or a static <route>. Without a mask it is of the address's old class, or one IPv6 address
    (virSocketAddrGetIPPrefix, libvirt 9.0)."""
    address = ip_address(part.get("address", ""))
    length = part.get("prefix") or part.get("netmask")
    if length is None and isinstance(address, IPv4Address):
        first = address.packed[0]
        length = "8" if first < 128 else "16" if first < 192 else "24" if first < 224 else "32"  # noqa: PLR2004  the old classes
    return ip_network(f"{address}/{length or '128'}", strict=False)
