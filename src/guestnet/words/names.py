"""Names as libvirt and the kernel take them. Each function returns the name as it is, or raises WrongError."""

from __future__ import annotations

import re
import unicodedata

from guestnet.words.problems import WrongError

_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?", re.ASCII)
_LONGEST_NAME = 64  # characters, and
_LONGEST_BYTES = 200  # bytes: libvirt and we make files of names (NAME.xml, NAME.leases), and those end at 255 bytes
_IFNAMSIZ = 15  # bytes the kernel takes for a link's name, without the closing zero
_LONGEST_DOMAIN = 253  # RFC 1035


def network_name(text: str) -> str:
    """The name of a libvirt network."""
    return _libvirt_name(text, "network")


def guest_name(text: str) -> str:
    """The name of a libvirt domain."""
    return _libvirt_name(text, "guest")


def bridge_name(text: str) -> str:
    """The name of a Linux bridge."""
    return _link_name(text, "bridge", "virbr1")


def nic_name(text: str) -> str:
    """The name of a NIC of the host."""
    return _link_name(text, "NIC", "eth1")


def domain_name(text: str) -> str:
    """A DNS domain such as lab.internal, without a dot at the end."""
    labels = text.split(".")
    if len(text) > _LONGEST_DOMAIN or not all(_LABEL.fullmatch(label) for label in labels):
        raise WrongError(f'"{text}" is not a DNS domain', "write one such as lab.internal")
    return text


def _link_name(text: str, kind: str, example: str) -> str:
    if not text or text in (".", ".."):
        raise WrongError(f'"{text}" is not a {kind} name', f"write one such as {example}")
    if len(text.encode("utf-8", "replace")) > _IFNAMSIZ:
        raise WrongError(f"the {kind} name {text} is too long", f"the kernel takes {_IFNAMSIZ} bytes at most")
    # The kernel refuses / : and white space (dev_valid_name); on the rest nft, sysctl and shells trip
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", text, re.ASCII):
        raise WrongError(f'"{text}" is not a {kind} name', f"use letters, digits, _ . and - only, such as {example}")
    return text


def _libvirt_name(text: str, kind: str) -> str:
    if not text.strip():
        raise WrongError(f"a {kind} has an empty name", "give it a name")
    # Cc: control, Cs: half of a pair, Zl and Zp: line and paragraph separators; libvirt itself refuses newline and /
    if any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in text):
        raise WrongError(f"the {kind} name {text!a} holds a control character", "use visible characters only")
    if "/" in text or text in (".", ".."):
        raise WrongError(
            f'"{text}" cannot be the name of a {kind}', "it becomes a file's name: no / in it, not . or .."
        )
    if len(text) > _LONGEST_NAME or len(text.encode()) > _LONGEST_BYTES:
        raise WrongError(f"the {kind} name {text[:20]}... is too long", f"{_LONGEST_NAME} characters at most")
    return text
