"""Asks the real getaddrinfo, in a namespace that is as the case says. A program: lines of JSON in, lines of JSON out.

In: the questions to one host, cases of equal hosts. Out: for each the addresses in the order that glibc returned them.
It is started in network and mount namespaces of its own, and makes a network namespace more for each host. Standard
library only.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import select
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

NAME = "asked.test"
_NEWNET = 0x40000000
_TUNSETIFF, _TUNSETLINK, _TUN = 0x400454CA, 0x400454CD, 0x0001 | 0x1000
_A, _AAAA = 1, 28


def main() -> None:
    # glibc reads nothing else of /etc for this; nss_files and nss_dns are in libc itself since 2.34.
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/etc"], check=True)
    write("resolv.conf", "nameserver 127.0.0.1\noptions timeout:2 attempts:5\n")
    write("host.conf", "multi on\n")
    for line in sys.stdin:
        print(json.dumps(answers(json.loads(line))), flush=True)


def write(name: str, text: str) -> None:
    Path("/etc", name).write_bytes(text.encode("utf-8", "surrogateescape"))


def answers(cases: list[dict[str, Any]]) -> Any:
    """In a process, and so in a namespace, that ends with the questions."""
    return in_child(lambda: [given(case) for case in made(cases)])


def in_child(work: Any, serve: socket.socket | None = None, case: dict[str, Any] | None = None) -> Any:
    """What `work` returns in a process of its own; meanwhile `serve` answers for the DNS."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        try:
            said = json.dumps(work())
        except BaseException as error:  # noqa: BLE001  it is told on the other side
            said = json.dumps({"error": f"{type(error).__name__}: {error}"})
        with os.fdopen(writing, "w") as out:
            out.write(said)
        os._exit(0)
    os.close(writing)
    heard = b""
    while True:
        waiting: list[int] = [reading, *([serve.fileno()] if serve else [])]
        ready, _, _ = select.select(waiting, [], [])
        if serve and case and serve.fileno() in ready:
            question, asker = serve.recvfrom(512)
            serve.sendto(reply(question, case["dests"]), asker)
        if reading in ready:
            chunk = os.read(reading, 65536)
            if not chunk:
                break
            heard += chunk
    os.close(reading)
    os.waitpid(pid, 0)
    return json.loads(heard)


def made(cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Make the host that they are about."""
    if ctypes.CDLL(None, use_errno=True).unshare(_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    host = cases[0]
    lines = ["link set lo up"] if host.get("lo", True) else []
    for link in host["ifaces"]:
        if link.get("kind") == "tun":  # the order of the NICs counts
            ip(lines)
            tun(link["name"], link.get("arphrd"))
            lines = []
        lines += linked(link)
    ip(lines)
    for name, value in settings(host):
        Path("/proc/sys", *name.split(".")).write_text(value)
    ip(addressed(host))
    return cases


def linked(link: dict[str, Any]) -> list[str]:
    name = link["name"]
    if link.get("kind") == "tun":
        lines = []
    elif link.get("kind") == "bridge":
        lines = [f"link add {name} type bridge", f"link add v{name} type veth peer name w{name}"]
        lines += [f"link set v{name} addrgenmode none master {name} up", f"link set w{name} addrgenmode none up"]
    else:
        lines = [f"link add {name} type veth peer name p{name}", f"link set p{name} addrgenmode none up"]
    lines.append(f"link set {name} addrgenmode none")
    return [*lines, f"link set {name} up"] if link.get("up", True) else lines


def tun(name: str, arphrd: int | None) -> None:
    """It is there, and has a carrier, as long as this process holds it."""
    held = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(held, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _TUN))
    if arphrd:
        fcntl.ioctl(held, _TUNSETLINK, arphrd)


def settings(host: dict[str, Any]) -> list[tuple[str, str]]:
    found = list(host.get("sysctl", {}).items())
    ports = [name for _, name in socket.if_nameindex() if name[0] in "pvw"]  # they are not part of the host
    found += [(f"net.ipv6.conf.{name}.disable_ipv6", "1") for name in ports]
    if host.get("disable_ipv6"):
        found += [(f"net.ipv6.conf.{where}.disable_ipv6", "1") for where in ("all", "default")]
    for link in host["ifaces"]:
        if any(isinstance(one, dict) and one.get("tentative") for one in link["addrs"]):
            # They stay so for as long as the questions last.
            found += [(f"net.ipv6.conf.{link['name']}.{key}", "1000") for key in ("dad_transmits",)]
            found += [(f"net.ipv6.conf.{link['name']}.optimistic_dad", "1")]
    return found


def addressed(host: dict[str, Any]) -> list[str]:
    lines = []
    for link in host["ifaces"]:
        for item in link["addrs"]:
            one = item if isinstance(item, dict) else {"addr": item}
            words = ["addr add", one["addr"], *(("peer", one["peer"]) if "peer" in one else ()), "dev", link["name"]]
            if "peer" in one:
                words[1] = one["addr"].partition("/")[0]
            if ":" in one["addr"]:
                words += ["optimistic"] if one.get("optimistic") else [] if one.get("tentative") else ["nodad"]
                words += ["home"] if one.get("home") else []
            words += ["preferred_lft", "0"] if one.get("deprecated") else []
            lines.append(" ".join(words))
    first = host["ifaces"][0]["name"] if host["ifaces"] else ""
    for key, prefix in (("default4", "0.0.0.0/0"), ("default6", "::/0")):
        if host.get(key) and not (key == "default6" and host.get("disable_ipv6")):
            via = f"via {host[key]} " if isinstance(host[key], str) else ""
            lines.append(f"route add {prefix} {via}dev {first}")
    lines += [f"route add {line}" for line in host.get("routes", [])]
    return [*lines, *(f"addrlabel add {line}" for line in host.get("addrlabel", []))]


def ip(lines: list[str]) -> None:
    text = "".join(f"{line}\n" for line in lines)
    done = subprocess.run(["ip", "-batch", "-"], input=text, text=True, capture_output=True, check=False)
    if done.returncode:
        raise OSError(f"{done.stderr.strip()} in: {text}")


def given(case: dict[str, Any]) -> Any:
    """The order of one question, asked by a process that has asked nothing before: glibc reads gai.conf once."""
    write("gai.conf", case.get("gai_conf") or "")
    dns = case.get("via") == "dns"
    write("nsswitch.conf", f"hosts: {'dns' if dns else 'files'}\n")
    write("hosts", "" if dns else "".join(f"{dest} {NAME}\n" for dest in case["dests"]))
    if not dns:
        return in_child(lambda: asked(case))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 53))
        return in_child(lambda: asked(case), server, case)


def asked(case: dict[str, Any]) -> dict[str, Any]:
    """`order`, and `sources`: what the kernel chose for each destination, for whoever must explain a difference."""
    return {"order": ordered(case), "sources": {dest: source(dest) for dest in case["dests"]}}


def source(dest: str) -> str | None:
    with socket.socket(socket.AF_INET6 if ":" in dest else socket.AF_INET, socket.SOCK_DGRAM) as one:
        try:
            one.connect((dest, 0))
        except OSError:
            return None
        return str(one.getsockname()[0])


def ordered(case: dict[str, Any]) -> list[str]:
    flags = socket.AI_ADDRCONFIG if case.get("addrconfig") else 0
    try:
        found = socket.getaddrinfo(NAME, None, type=socket.SOCK_STREAM, flags=flags)
    except socket.gaierror as error:
        if error.errno in (socket.EAI_NONAME, socket.EAI_NODATA):
            return []
        raise
    return [str(entry[4][0]) for entry in found]


def reply(question: bytes, dests: list[str]) -> bytes:
    """The A or the AAAA records, in the order of the case."""
    end = question.index(b"\0", 12) + 5
    kind = int.from_bytes(question[end - 4 : end - 2])
    family = {_A: socket.AF_INET, _AAAA: socket.AF_INET6}[kind]
    records = [socket.inet_pton(family, dest) for dest in dests if (":" in dest) == (kind == _AAAA)]
    head = question[:2] + struct.pack(">HHHHH", 0x8580, 1, len(records), 0, 0)
    body = [struct.pack(">HHHIH", 0xC00C, kind, 1, 60, len(data)) + data for data in records]
    return head + question[12:end] + b"".join(body)


if __name__ == "__main__":
    main()
