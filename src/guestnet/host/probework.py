"""One end of a measurement: answers on a port, and asks others. Runs as a program of its own in a network namespace.

It reads one JSON object a line from standard input and answers each with one; it ends when its input ends, so that
nothing of it outlives who started it. Standard library only, and nothing of guestnet: `host.probe` runs this file, here
and on other machines (so: Python 3.8, and not as root).

    {"do": "listen", "addresses": ["10.0.0.2"], "port": 0}         -> {"port": 40123}, TCP and UDP on the same number
    {"do": "ask", "all": [{"protocol": "tcp", "to": "10.0.0.3", "port": 7, "timeout": 1.0}]}, all at once; also with a
        `source`, and `tries`: how often to send what nobody repeats for us
        -> {"answers": [{"outcome": see below, "by": "who said so", "text": "..."}]}
    {"do": "at_end", "program": "nft", "text": "..."}              -> {}, run with this input when our own input ends;
        also with its `options`, else -f -

The outcomes. answered: a greeting of another end, or any answer of another program. refused: the far end itself said
that nobody listens (so the packet arrived). rejected: somebody on the way said no. nowhere: this side has no way to
send it. unable: this side is not let send it. An address of a link has that in its name: fe80::1%eth0.
"""

import errno
import itertools
import json
import os
import select
import socket
import struct
import sys
import threading
import time

GREETING = b"guestnet probe"
IP_RECVERR, IPV6_RECVERR, MSG_ERRQUEUE = 11, 25, 0x2000  # linux/in.h, linux/in6.h, linux/socket.h
ICMP_ORIGINS = {2, 3}  # linux/errqueue.h: SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_ICMP6
PORT_UNREACHABLE = {(2, 3, 3), (3, 1, 4)}  # origin, ICMP type, code
ECHO = {4: (8, 0), 6: (128, 129)}  # ICMP echo request and reply, by family
idents = itertools.count(os.getpid())
farewells: "list[tuple[list[str], str]]" = []
ADDRESS4_END = 8  # bytes of a sockaddr_in up to the end of its address
NOWHERE = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.EACCES, errno.EINVAL}


def main() -> None:
    listeners: list[socket.socket] = []
    buffer = b""
    while True:
        ready, _, _ = select.select([sys.stdin, *listeners], [], [])
        for one in ready:
            if one is sys.stdin:
                chunk = os.read(0, 65536)
                if not chunk:
                    return
                *lines, buffer = (buffer + chunk).split(b"\n")
                for line in lines:
                    answer = obey(json.loads(line), listeners)
                    os.write(1, json.dumps(answer).encode() + b"\n")
            elif isinstance(one, socket.socket):
                greet(one)


def obey(order: "dict[str, object]", listeners: "list[socket.socket]") -> "dict[str, object]":
    try:
        if order["do"] == "listen":
            return {"port": listen(list(order["addresses"]), listeners)}  # type: ignore[call-overload]
    except OSError as error:
        return {"error": error.strerror or str(error)}
    if order["do"] == "at_end":
        options = list(order.get("options", ["-f", "-"]))  # type: ignore[call-overload]
        farewells.append(([str(order["program"]), *options], str(order["text"])))
        return {}
    questions = list(order["all"])  # type: ignore[call-overload]
    answers: list[dict[str, object]] = [{}] * len(questions)
    threads = [threading.Thread(target=settle, args=(answers, i, one)) for i, one in enumerate(questions)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        ready, _, _ = select.select(listeners, [], [], 0.05)  # who is asked by itself answers, too
        for one in ready:
            greet(one)
    return {"answers": answers}


def settle(answers: "list[dict[str, object]]", index: int, question: "dict[str, object]") -> None:
    try:
        answers[index] = ask(question)
    except OSError as error:
        answers[index] = plain(error.errno or 0, str(question["to"]))


def last() -> None:
    """What is to be done when whoever started us is gone, however it went."""
    for argv, text in farewells:
        read_end, write_end = os.pipe()
        os.write(write_end, text.encode())  # a few lines: a pipe holds 64 KiB
        os.close(write_end)
        quiet = (os.POSIX_SPAWN_OPEN, 2, "/dev/null", os.O_WRONLY, 0)
        actions = [(os.POSIX_SPAWN_DUP2, read_end, 0), quiet]
        pid = os.posix_spawnp(argv[0], argv, os.environ, file_actions=actions)
        os.close(read_end)
        os.waitpid(pid, 0)


def listen(addresses: "list[str]", listeners: "list[socket.socket]") -> int:
    """TCP and UDP on one number, the same on all addresses."""
    for _ in range(50):
        made: list[socket.socket] = []
        port = 0
        try:
            for address in addresses:
                for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                    one = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
                    made.append(one)
                    one.setblocking(False)  # whoever asked may be gone before he is greeted: accept(2) would wait
                    if ":" in address:
                        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                    one.bind(place(address, port))
                    port = one.getsockname()[1]
                    if kind == socket.SOCK_STREAM:
                        one.listen(64)
        except OSError as error:
            for one in made:
                one.close()
            if error.errno != errno.EADDRINUSE:
                raise
            continue
        listeners += made
        return port
    raise OSError(errno.EADDRINUSE, "no port is free")


def greet(one: socket.socket) -> None:
    try:
        if one.type == socket.SOCK_STREAM:
            link, _ = one.accept()
            link.settimeout(1)
            link.sendall(GREETING)
            link.close()
        else:
            _, who = one.recvfrom(2048)
            one.sendto(GREETING, who)
    except OSError:
        pass  # whoever asked went away


def place(address: str, port: int) -> "tuple[object, ...]":
    """As sockets take it: they want the link of an address as a number beside it."""
    found = socket.getaddrinfo(address, port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)
    return found[0][4]


def ask(order: "dict[str, object]") -> "dict[str, object]":
    to, protocol = str(order["to"]), str(order["protocol"])
    family = socket.AF_INET6 if ":" in to else socket.AF_INET
    timeout, tries = float(str(order["timeout"])), int(str(order.get("tries", 1)))
    if protocol == "icmp":
        return ping(family, to, timeout, tries, order.get("source"))
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    with socket.socket(family, kind) as one:
        recverr(one, family)
        if order.get("source"):
            one.bind(place(str(order["source"]), 0))
        one.setblocking(False)
        result = one.connect_ex(place(to, int(str(order["port"]))))
        if result not in (0, errno.EINPROGRESS):
            return {"outcome": "nowhere", "by": "", "text": os.strerror(result)}
        if protocol == "udp":
            return udp(one, to, timeout, tries)
        _, writable, _ = select.select([], [one], [one], timeout)
        if not writable:
            return said(one, to) or {"outcome": "silence", "by": "", "text": "no answer"}
        failed = one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failed:
            return said(one, to) or plain(failed, to)
        return {"outcome": "answered", "by": to, "text": "connected"}


def udp(one: socket.socket, to: str, timeout: float, tries: int) -> "dict[str, object]":
    for _ in range(tries):
        one.send(GREETING)
        readable, _, _ = select.select([one], [], [], timeout / tries)
        if readable:
            break
    else:
        return said(one, to) or {"outcome": "silence", "by": "", "text": "no answer"}
    try:
        one.recv(2048)
    except OSError as error:
        return said(one, to) or plain(error.errno or 0, to)
    return {"outcome": "answered", "by": to, "text": "answered"}


def ping(family: int, to: str, timeout: float, tries: int, source: object) -> "dict[str, object]":
    try:
        one = pinger(family)
    except OSError as error:
        return {"outcome": "unable", "by": "", "text": os.strerror(error.errno or 0)}
    with one:
        recverr(one, family)
        if source:
            one.bind(place(str(source), 0))
        one.connect(place(to, 0))
        # An ICMP error makes the socket readable, and what there is to read may be nothing but that error.
        one.setblocking(False)
        ident = next(idents) & 0xFFFF
        request = ECHO[6 if family == socket.AF_INET6 else 4][0]
        for _ in range(tries):
            one.send(echo(request, ident))
            found = reply(one, family, to, time.monotonic() + timeout / tries, ident)
            if found:
                return found
        return said(one, to) or {"outcome": "silence", "by": "", "text": "no answer"}


def pinger(family: int) -> socket.socket:
    """A raw socket; without root one that only pings, which net.ipv4.ping_group_range allows some groups (icmp(7))."""
    number = socket.IPPROTO_ICMPV6 if family == socket.AF_INET6 else socket.IPPROTO_ICMP
    try:
        return socket.socket(family, socket.SOCK_RAW, number)
    except PermissionError:
        return socket.socket(family, socket.SOCK_DGRAM, number)


def reply(one: socket.socket, family: int, to: str, end: float, ident: int) -> "dict[str, object] | None":
    """The answer to our echo request, or the error about it; None when neither came in time."""
    raw = one.type == socket.SOCK_RAW
    while (left := end - time.monotonic()) > 0:
        readable, _, _ = select.select([one], [], [], left)
        if not readable:
            break
        try:
            packet = one.recv(2048)
        except BlockingIOError:
            told = said(one, to)
            if told:
                return told
            continue
        except OSError as error:
            return said(one, to) or plain(error.errno or 0, to)
        body = packet[(packet[0] & 0xF) * 4 :] if raw and family == socket.AF_INET else packet
        if body[0] != ECHO[6 if family == socket.AF_INET6 else 4][1]:
            continue
        # On one that only pings the kernel puts in an ident of its own, and gives us our own replies alone.
        if not raw or struct.unpack_from(">H", body, 4)[0] == ident:
            return {"outcome": "answered", "by": to, "text": "echo reply"}
    return None


def echo(kind: int, ident: int) -> bytes:
    """An echo request; the kernel fills in the checksum of ICMPv6 (RFC 3542, section 3.1), not that of ICMP."""
    packet = struct.pack(">BBHHH", kind, 0, 0, ident, 1) + GREETING
    total = sum(struct.unpack(f">{len(packet) // 2}H", packet))
    total = (total >> 16) + (total & 0xFFFF)
    return packet[:2] + struct.pack(">H", ~(total + (total >> 16)) & 0xFFFF) + packet[4:]


def recverr(one: socket.socket, family: int) -> None:
    if family == socket.AF_INET6:
        one.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)
    else:
        one.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)


def said(one: socket.socket, to: str) -> "dict[str, object] | None":
    """The ICMP error that came for this socket, if one did: who sent it, and whether that is the far end itself."""
    try:
        _, extra, _, _ = one.recvmsg(512, 512, MSG_ERRQUEUE)
    except OSError:
        return None
    for _, _, data in extra:
        number, origin, kind, code = struct.unpack_from("=IBBB", data)
        if origin not in ICMP_ORIGINS:
            continue
        text = os.strerror(number)
        offender = data[16:]
        by = ""
        if (
            len(offender) >= ADDRESS4_END
        ):  # sockaddr_in: family, port, address; sockaddr_in6: family, port, flow, address
            family = struct.unpack_from("=H", offender)[0]
            by = socket.inet_ntop(family, offender[4:8] if family == socket.AF_INET else offender[8:24])
        refused = (origin, kind, code) in PORT_UNREACHABLE and by == to.partition("%")[0]
        return {"outcome": "refused" if refused else "rejected", "by": by, "text": text}
    return None


def plain(number: int, to: str) -> "dict[str, object]":
    """An error without an ICMP message: a TCP reset, or this side's own kernel."""
    if number == errno.ECONNREFUSED:
        return {"outcome": "refused", "by": to, "text": "reset"}
    return {"outcome": "nowhere" if number in NOWHERE else "silence", "by": "", "text": os.strerror(number)}


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:
        pass  # whoever asked is gone
    finally:
        last()
