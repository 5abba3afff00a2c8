"""What libvirt says of guests and networks, in XML on standard input and in its own files of those that run."""

import sys

from guestnet.faces.hook.programs import log

RUNNING = "/run/libvirt/qemu"
NIC_PARTS = {"source": "network", "mac": "address", "target": "dev"}  # element in an <interface> -> attribute


def running_nics(path: str) -> list[dict[str, str]]:
    """The NICs of a running guest, by libvirt's file; none when it went meanwhile, or can't be read."""
    try:
        with open(path, "rb") as source:
            return interfaces(source.read())
    except Exception as trouble:  # one guest's trouble is not the others'
        log(f"{path}: {trouble}")
        return []


def xml_nics() -> list[dict[str, str]]:
    """The NICs in the guest's XML on standard input; of several in one network the first comes last, and so counts."""
    return interfaces(sys.stdin.buffer.read())[::-1]


def interfaces(xml: bytes) -> list[dict[str, str]]:
    """The NICs in a guest's XML, each with what it has of `network`, `address` (the MAC) and `dev` (the tap)."""
    found: list[dict[str, str]] = []
    for tag, attributes in tags(xml):
        if tag == "interface":
            found.append({})
        elif tag == "/interface":
            found.append({})  # what follows belongs to no NIC
        elif found and tag in NIC_PARTS and NIC_PARTS[tag] in attributes:
            found[-1].setdefault(NIC_PARTS[tag], attributes[NIC_PARTS[tag]])
    return found


def tags(xml: bytes) -> list[tuple[str, dict[str, str]]]:
    """(tag, attributes) of each element in order, (/interface, none) where one ends, and owner/name with its text."""
    import pyexpat  # late: few events need it. ElementTree would cost as much as all the rest

    found: list[tuple[str, dict[str, str]]] = []
    parser = pyexpat.ParserCreate()
    parser.StartElementHandler = lambda tag, attributes: found.append((tag, attributes))
    parser.EndElementHandler = lambda tag: found.append(("/interface", {})) if tag == "interface" else None
    parser.buffer_text = True
    parser.CharacterDataHandler = lambda text: (
        found.append(("owner/name", {"text": text})) if [tag for tag, _ in found[-2:]] == ["owner", "name"] else None
    )
    parser.Parse(xml, True)
    return found
