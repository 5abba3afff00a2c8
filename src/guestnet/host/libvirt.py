"""The door to libvirt: networks and domains, through the official binding. Nothing outside this module imports it.

What it reads of the world: network XML, domain XML. What it changes: networks that carry our mark, nothing else.
"""

from __future__ import annotations

import contextlib
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType

import libvirt

from guestnet.compile import netxml
from guestnet.decide.facts import Domain, DomainNic, ForeignNetwork
from guestnet.decide.state import Network
from guestnet.host.run import run
from guestnet.words.problems import GuestnetError

_FORWARDING = {"nat", "route", "open"}  # the modes for which libvirt makes the host a router

libvirt.registerErrorHandler(lambda _context, _error: None, None)  # it would print by itself


@contextlib.contextmanager
def _speaking(what: str) -> Iterator[None]:
    try:
        yield
    except libvirt.libvirtError as error:
        raise GuestnetError(f"{what}: libvirt says: {error.get_error_message()}") from error


@dataclass(frozen=True)
class Tap:
    """A running guest's end of a NIC on the host."""

    domain: str
    network: str
    device: str


class Libvirt:
    """A connection to libvirt; use it with `with`."""

    def __init__(self, uri: str | None = None) -> None:
        self._uri = uri

    def __enter__(self) -> Libvirt:
        try:
            self._link = libvirt.open(self._uri)
        except libvirt.libvirtError as error:
            what = f"libvirt does not answer at {self._uri or 'qemu:///system'}: {error.get_error_message()}"
            todo = "start it: systemctl start libvirtd (or install it: apt install libvirt-daemon-system)"
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
                stored = net.XMLDesc(libvirt.VIR_NETWORK_XML_INACTIVE)
                running = net.XMLDesc() if net.isActive() else None
                if netxml.is_ours(stored):
                    live = netxml.canonical(running) if running else None
                    ours[net.name()] = Network(netxml.canonical(stored), live, bool(net.autostart()))
                else:
                    foreign.append(_foreign(net.name(), running or stored, running is not None))
        return ours, tuple(foreign)

    def domains(self) -> tuple[Domain, ...]:
        found = []
        with _speaking("reading the guests"):
            for domain in self._link.listAllDomains():
                nics = [DomainNic(tap.network, mac) for tap, mac in _taps(domain)]
                found.append(Domain(domain.name(), bool(domain.isActive()), tuple(nics)))
        return tuple(sorted(found, key=lambda domain: domain.name))

    def put_network(self, name: str, before: Network | None, after: Network | None) -> None:
        """Makes the network what `after` says; a running one that changes is restarted, and its taps are put back."""
        with _speaking(f"network {name}"):
            net = self._find(name)
            if net is not None and not netxml.is_ours(net.XMLDesc(libvirt.VIR_NETWORK_XML_INACTIVE)):
                raise GuestnetError(f"network {name} is not guestnet's", "it is left as it is")
            if after is None:
                self._remove(net)
                return
            if net is None or before is None or before.xml != after.xml:
                net = self._define(net, after.xml)
            if bool(net.autostart()) != after.autostart:
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
        if net.isActive():
            net.destroy()
        if net.isPersistent():
            net.undefine()

    def _define(self, net: libvirt.virNetwork | None, xml: str) -> libvirt.virNetwork:
        return self._link.networkDefineXML(netxml.with_uuid(xml, net.UUIDString()) if net else xml)

    def _run(self, net: libvirt.virNetwork, name: str, wanted: str | None) -> None:
        running = netxml.canonical(net.XMLDesc()) if net.isActive() else None
        if running == wanted:
            return
        # net-destroy leaves running guests' taps without a bridge (libvirt 9.0); they are put back by hand.
        taps = self.taps(name) if running else ()
        if running is not None:
            net.destroy()
        if wanted is None:
            return
        net.create()
        bridge = net.bridgeName()
        for tap in taps:
            run("ip", "link", "set", tap.device, "master", bridge)

    def taps(self, network: str) -> tuple[Tap, ...]:
        """The taps of running guests in a network."""
        domains = self._link.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)
        return tuple(tap for domain in domains for tap, _ in _taps(domain) if tap.network == network and tap.device)


def _taps(domain: libvirt.virDomain) -> list[tuple[Tap, str]]:
    """(tap, MAC) of each NIC on a libvirt network, in the order of the XML; no device name while the guest is off."""
    root = ET.fromstring(_xml(domain))  # noqa: S314  libvirt's own output
    found = []
    for nic in root.findall("devices/interface"):
        source, mac, target = nic.find("source"), nic.find("mac"), nic.find("target")
        if source is None or mac is None or not source.get("network"):
            continue
        device = target.get("dev", "") if target is not None else ""
        found.append((Tap(domain.name(), source.get("network", ""), device), mac.get("address", "").lower()))
    return found


def _xml(domain: libvirt.virDomain) -> str:
    for _ in range(3):
        try:
            return str(domain.XMLDesc())
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
                return "<domain/>"  # it went while we looked
            if error.get_error_code() != libvirt.VIR_ERR_OPERATION_TIMEOUT:
                raise
            time.sleep(0.2)
    return "<domain/>"


def _foreign(name: str, xml: str, active: bool) -> ForeignNetwork:
    root = ET.fromstring(xml)  # noqa: S314  libvirt's own output
    bridge, forward = root.find("bridge"), root.find("forward")
    mode = forward.get("mode", "nat") if forward is not None else ""
    return ForeignNetwork(name, bridge.get("name", "") if bridge is not None else "", active and mode in _FORWARDING)
