"""The door to libvirt: networks and domains, through the official binding. Nothing outside this module imports it.

What it reads of the world: network XML, domain XML. What it changes: networks that carry our mark, nothing else.
"""

from __future__ import annotations

import contextlib
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from types import TracebackType

import libvirt
import libvirt_qemu

from guestnet.compile import meantime, netlive, netxml, portxml
from guestnet.compile.bridgedrift import DNSMASQ, RESTARTS
from guestnet.decide.facts import Domain, DomainNic, ForeignNetwork, Lease
from guestnet.decide.foreign import foreign
from guestnet.decide.state import Network
from guestnet.host import bridges, carry
from guestnet.host import meantime as meantime_rules
from guestnet.host import taps as host_taps
from guestnet.words import xmltext
from guestnet.words.pci import PARTS, joined
from guestnet.words.problems import AsideError, GuestnetError, SilentError, TheirsError
from guestnet.words.shown import shown
from guestnet.words.xmladdress import xml_interface

SYSTEM = "qemu:///system"
_AGENT = "devices/channel/target[@name='org.qemu.guest_agent.0'][@state='connected']"
_FORBIDDEN = re.compile("has been disabled|not been found|CommandNotFound|not allowed")
_NOBODY = "<host ip='192.0.2.1'><hostname>nobody.invalid</hostname></host>"  # RFC 5737, RFC 6761

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
    port: str = ""  # the UUID of libvirt's record of it; "" when it is on no network
    record: str = ""  # that record, as the guest's own XML has it
    isolated: bool = False  # by the guest's own XML

    def belongs(self, network: str, bridge: str) -> bool:
        return self.network == network or bool(bridge and self.bridge == bridge)


def isolated(taps: Iterable[Tap], network: str, xml: str | None) -> set[str]:
    """The taps in a network that are to be kept from each other, by its own XML or by their guests'."""
    whole = bool(xml) and netxml.isolates(xml or "")
    return {tap.device for tap in taps if tap.network == network and (tap.isolated or whole)}


class Libvirt:
    """A connection to libvirt; use it with `with`."""

    adopting: frozenset[str] = frozenset()  # names of networks without our mark that count as ours from now on

    def __init__(self, uri: str | None = None) -> None:
        self._uri = uri
        self._refused: set[str] = set()  # records that libvirt does not take back: they must not fail an apply

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
        others = []
        with _speaking("reading the networks"):
            for net in self._link.listAllNetworks():
                with _gone_meanwhile():
                    running = net.XMLDesc() if net.isActive() else None
                    # Without a stored definition (virsh net-undefine while it runs) it is gone after its next stop.
                    stored = net.XMLDesc(libvirt.VIR_NETWORK_XML_INACTIVE) if net.isPersistent() else ""
                    if self._ours(net.name(), stored or running or ""):
                        texts = [netxml.canonical(xml) if xml else xml for xml in (stored, running)]
                        ours[net.name()] = Network(texts[0] or "", texts[1], _autostart(net))
                    else:
                        its = running or stored
                        others.append(foreign(net.name(), its, running=running is not None, autostart=_autostart(net)))
        return ours, tuple(others)

    def _ours(self, name: str, xml: str) -> bool:
        """By the stored definition, if there is one: the mark in one that runs can't be changed before libvirt 9.7."""
        return netxml.is_ours(xml) or name in self.adopting

    def xmls(self) -> dict[str, tuple[str, bool]]:
        """Of each network that is not ours its definition, and whether it starts at boot."""
        with _speaking("reading the networks"):
            found = {}
            for net in self._link.listAllNetworks():
                with _gone_meanwhile():
                    xml = _definition(net)
                    if not netxml.is_ours(xml):
                        found[net.name()] = xml, _autostart(net)
            return found

    def domains(self) -> tuple[Domain, ...]:
        found = []
        with _speaking("reading the guests"):
            for domain in self._link.listAllDomains():
                with _gone_meanwhile():
                    root = _xml(domain)
                    nics, its = tuple(nic for nic, _, _ in _nics(root)), _devices(domain)
                    running, uuid = bool(domain.isActive()), domain.UUIDString()
                    found.append(Domain(domain.name(), running, nics, its, uuid, root.find(_AGENT) is not None))
        return tuple(sorted(found, key=lambda domain: domain.name))

    def put_network(self, name: str, before: Network | None, after: Network | None) -> None:
        """Makes the network what `after` says; a running one that changes is updated as it runs, where libvirt can;
        else it is restarted, and its taps are put back. Raises TheirsError: it is somebody else's."""
        with _speaking(f"network {name}"):
            net = self._find(name)
            if net is not None and not netxml.is_ours(_definition(net)):
                if after is not None and _is(net, after):
                    return  # it was given back, or an adoption that did not come that far is undone
                if after is None or name not in self.adopting:
                    raise TheirsError(f"network {name} is not guestnet's", "it is left as it is")
            if after is None:
                self._remove(net)
                return
            if not after.xml and net is not None:
                if net.isPersistent():
                    net.undefine()  # it had no stored definition, and runs on
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
        if running is not None and wanted is not None and (updates := netlive.updates(running, wanted)) is not None:
            anew = any(one.section in netlive.RULES_ANEW for one in updates)
            with meantime_rules.standing(meantime.table([running]) if anew else ""):
                running = self._update(net, updates)
            if running != wanted:
                raise GuestnetError(f"network {name}: libvirt took what was to change, and it has not")
        records: dict[str, str] = {}
        if running is not None and running == wanted and RESTARTS & set(self._mend(net, name)):
            running = ""  # only a restart brings it back
        if running is not None and running != wanted:
            records = {port.UUIDString(): port.XMLDesc() for port in net.listAllPorts()}
        if running is None or running == wanted or wanted is None:
            self._begin_or_end(net, running, wanted)
        else:
            with self._carried(net, name):
                net.destroy()
                net.create()
        if wanted is not None:
            self._replug(net, name, records)

    def _begin_or_end(self, net: libvirt.virNetwork, running: str | None, wanted: str | None) -> None:
        if running is None and wanted is not None:
            net.create()
        if running is not None and wanted is None:
            net.destroy()

    @contextlib.contextmanager
    def _carried(self, net: libvirt.virNetwork, name: str) -> Iterator[None]:
        """While the network is restarted, and becomes what is stored: its guests stay in, if ours are the rules."""
        running, xml = net.XMLDesc(), _definition(net)
        before, bridge = netxml.own_bridge(running), netxml.own_bridge(xml)
        taps = [tap for tap in self.taps() if tap.belongs(name, bridge)] if before and bridge else []
        with meantime_rules.standing(meantime.table([running, xml]) if taps else "") as safe:
            if not safe or not taps:
                yield
                return
            subnets = tuple(xml_interface(ip.attrib).network for ip in xmltext.parse(xml).iterfind("ip"))
            devices, isolates = [tap.device for tap in taps], isolated(taps, name, xml)
            with carry.carried(before, carry.Made(bridge, netxml.speaks_stp(xml), subnets, devices, isolates)):
                yield

    def _mend(self, net: libvirt.virNetwork, name: str) -> tuple[str, ...]:
        """What was changed about its bridge by hand; a dnsmasq that died starts with the next update."""
        xml = net.XMLDesc()
        rest = bridges.mend(name, xml, isolated(self.taps(), name, xml))
        if DNSMASQ in rest:
            for command in ("ADD_LAST", "DELETE"):
                self._update(net, (netlive.Update(command, "DNS_HOST", -1, _NOBODY),))
        return rest

    def _update(self, net: libvirt.virNetwork, updates: tuple[netlive.Update, ...]) -> str:
        for one in updates:
            command = getattr(libvirt, f"VIR_NETWORK_UPDATE_COMMAND_{one.command}")
            section = getattr(libvirt, f"VIR_NETWORK_SECTION_{one.section}")
            net.update(command, section, one.parent, one.xml, libvirt.VIR_NETWORK_UPDATE_AFFECT_LIVE)
        return netxml.canonical(net.XMLDesc())

    def _replug(self, net: libvirt.virNetwork, name: str, records: dict[str, str]) -> None:
        """net-destroy, by us or by hand, leaves running guests' taps without a bridge, and libvirt without its records
        of them (libvirt 9.0): both are put back. `records`: those from before, by UUID."""
        xml = net.XMLDesc()
        bridge = netxml.bridge(xml)
        mine = [tap for tap in self.taps() if bridge and tap.belongs(name, bridge)]
        stp = netxml.own_bridge(xml) != "" and netxml.speaks_stp(xml)
        host_taps.plug(bridge, [tap.device for tap in mine], isolated(mine, name, xml), stp=stp)
        wanted = {tap.port: tap.record for tap in mine if tap.network == name and tap.port} | records
        for uuid in wanted.keys() - self.recorded(name):
            own = portxml.plugged_into(wanted[uuid], bridge, own=bool(netxml.own_bridge(xml)))
            try:
                net.portCreateXML(own, libvirt.VIR_NETWORK_PORT_CREATE_RECLAIM)
            except libvirt.libvirtError:  # its guest has gone meanwhile, or the next plan shows it again
                self._refused.add(uuid)

    def recorded(self, name: str) -> set[str]:
        """The UUIDs of libvirt's records of NICs in a network of ours; none when it does not run."""
        with _speaking(f"network {name}"):
            net = self._find(name)
            there = net.listAllPorts() if net and net.isActive() else []
            return {port.UUIDString() for port in there} | self._refused

    def taps(self) -> tuple[Tap, ...]:
        """The taps of running guests."""
        found: list[Tap] = []
        for domain in self._link.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE):
            with _gone_meanwhile():
                name, uuid = domain.name(), domain.UUIDString()
                for nic, tap, element in _nics(_xml(domain)):
                    if tap:
                        port, record = portxml.port_xml(element, name, uuid)
                        isolated = portxml.isolated(element)
                        found.append(Tap(name, nic.network, nic.bridge, tap, port, record, isolated))
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
    return xmltext.parse(domain.XMLDesc())


def _nics(root: ET.Element) -> list[tuple[DomainNic, str, ET.Element]]:
    """(NIC, tap, its XML) of each NIC with a MAC, in the order of the domain's XML; no tap while the guest is off."""
    found = []
    for nic in root.findall("devices/interface"):
        source, mac, target = (
            {} if part is None else part.attrib for part in map(nic.find, ("source", "mac", "target"))
        )
        network = source.get("network", "")
        # While it runs, the source of a NIC on a network names the bridge too.
        bridge = "" if network else source.get("bridge", "")
        if "address" in mac:
            found.append((DomainNic(network, mac["address"].lower(), bridge), target.get("dev", ""), nic))
    return found


def _devices(domain: libvirt.virDomain) -> tuple[str, ...]:
    """The PCI devices that a domain's own definition names, not those that a network gave it."""
    root = xmltext.parse(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
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


def _definition(net: libvirt.virNetwork) -> str:
    """The stored one, else what runs."""
    return str(net.XMLDesc(libvirt.VIR_NETWORK_XML_INACTIVE if net.isPersistent() else 0))


def _is(net: libvirt.virNetwork, wanted: Network) -> bool:
    """Whether it is that already, all of it."""
    running = netxml.canonical(net.XMLDesc()) if net.isActive() else None
    stored = netxml.canonical(_definition(net)) if net.isPersistent() else ""
    return (stored, running, _autostart(net)) == (wanted.xml, wanted.running, wanted.autostart)


def _autostart(net: libvirt.virNetwork) -> bool:
    return bool(net.isPersistent() and net.autostart())
