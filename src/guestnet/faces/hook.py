"""libvirt's hook for guestnet: forwards appear when a guest starts and vanish when it stops.

libvirt runs it as hooks/qemu.d/50-guestnet NAME OPERATION SUB-OPERATION, with the guest's XML on standard input, and as
hooks/network.d/50-guestnet with the network's. It waits for it, and for several operations a failure stops the guest
(`reconnect` even kills a running one), so: this ends with exit code 0 whatever happens, within a time limit, and says
why in /var/log/guestnet/hook.log. It prints nothing: for `migrate` and `restore` its output would be the guest's XML.

Python's flags: -I and -E keep the environment and the folder out of it, -S skips site, which costs a third of the
start, -Xutf8 reads names as libvirt writes them whatever the locale.

guestnet.service runs it too, as 50-guestnet - rules: everything is put in anew. Only then a failure is an exit code of
1, with the reason on standard error, for `systemctl status`. libvirt has no operation of that name.

A small file in libvirt's folders (guestnet.compile.hookfront) imports this one, which stands at
/var/lib/guestnet/hook.py, and calls `run`: so Python compiles it once, and not before each guest's start three times.

It stands alone: standard library only, and few modules of it, because each guest's start waits for their import. It
never calls libvirt, which would wait for the hook for ever. All it needs was prepared by `guestnet apply`:

    /var/lib/guestnet/compiled/table.nft       the firewall table, with no forward in it
    /var/lib/guestnet/compiled/admit           rules of ours on top of chains of others (guestnet.compile.admit)
    /var/lib/guestnet/compiled/outside         networks that share an uplink's IPv6 prefix (guestnet.compile.ndp)
    /var/lib/guestnet/compiled/guests/NAME     a guest's NICs and forwards (format: guestnet.compile.hookdata)
    /var/lib/guestnet/compiled/now/NAME        the same while it has other addresses, until it starts anew

Who runs is read from /run/libvirt/qemu/NAME.xml, which is there while a guest runs.
"""

import _signal  # type: ignore[import-not-found]  # has no stub: the module `signal` imports enum, which costs as much as all the rest
import fcntl
import os
import sys

TYPE_CHECKING = False  # not from typing: that import costs more than the hook has
if TYPE_CHECKING:
    from collections.abc import Callable

COMPILED = "/var/lib/guestnet/compiled"
RUNNING = "/run/libvirt/qemu"
HOSTS = "/var/lib/libvirt/dnsmasq/guestnet-"
LOG = "/var/log/guestnet/hook.log"
RUN = "/run/guestnet"
LOCK = f"{RUN}/rules.lock"
VERSION = "guestnet 1"
SOME = ("", "_from", "_range", "_from_range")
MAPS = (
    *(f"{kind}{some}{family}" for kind in ("on", "nic", "any") for some in SOME for family in "46"),
    *(f"{kind}{family}" for kind in ("whole", "source", "open", "open_from") for family in "46"),
    "loop4",
)
TABLE = "inet guestnet"
ADMIT = ("-m", "conntrack", "--ctstate", "DNAT", "-m", "connmark", "--mark", "0x2000/0x2000", "-j", "ACCEPT")
PROGRAMS = ("iptables", "ip6tables")
CHAINS = ["nft", "list", "chains"]
COMMENTED = "-m comment --comment guestnet "  # in rules of ours in iptables' FORWARD, as it prints them
BACKEND = " libvirt_network {"  # the table of libvirt's nftables backend, in nft's listing
COMMENT = ' comment "guestnet" # handle '  # after each rule of ours in a chain of others, in nft's listing
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
RULES = "rules"  # the operation that is not libvirt's but guestnet.service's
SECONDS = 10  # a guest's start waits no longer than this
SECONDS_UNIT = 25  # guestnet.service, where firewalld runs
CALM = 8  # half seconds
FIREWALLD = "/usr/bin/firewall-cmd"
OTHER_HOOK = "/etc/libvirt/hooks/qemu"  # never ours
LOG_BYTES = 262144
NIC_PARTS = {"source": "network", "mac": "address", "target": "dev"}  # element in an <interface> -> attribute
NOT_ASCII = 128
LABEL_BYTES = 63  # of a DNS name (RFC 1035)

LET_IN = f"{COMPILED}/let_in.py"
OUTSIDE = f"{COMPILED}/outside"
PARTS, INWARDS, OUTWARDS = "parts6", "inward6", "outward6"  # of the table, for prefix NAT
NDP = ["protocol", "71"]  # how entries of ours are told from others'
ADDRESSES = "/proc/net/if_inet6"
FADING = 0x08 | 0x20  # linux/if_addr.h: IFA_F_DADFAILED, IFA_F_DEPRECATED
HALF = 16  # hex digits of an address's prefix

children: set[int] = set()
limits: list[int] = []  # seconds that this run has; the last one counts
unknown: set[str] = set()  # first words of prepared lines that mean nothing here
uplinks: dict[str, tuple[str, str]] = {}  # see `shared`
late: list[str] = []  # what was prepared for a guest with UDP forwards that has started


class HookError(Exception):
    """Something did not work; the text says what."""


def main(argv: list[str]) -> None:
    name, operation = [*argv, "", ""][1:3]
    trust()
    if operation == RULES:
        with_lock({}, rules)
        settle()
    elif "network.d" in argv[0]:
        network(name, operation)
    else:
        guest(name, operation)


def network(name: str, operation: str) -> None:
    if operation == "start":
        with_lock({}, bridges)
    elif operation == "started":
        with_lock({}, lambda: ensure({}))
        xml = sys.stdin.buffer.read()
        localnet(xml)
        replug(name, xml)
    elif operation == "port-created":
        plugged(name, sys.stdin.buffer.read())


def trust() -> None:
    """What root alone may write: whoever else could, would act as root through it."""
    parts = ("guests", "now", "table.nft", "admit", "outside", "let_in.py", "bridges", "localnets")
    for path in (COMPILED, *(f"{COMPILED}/{name}" for name in parts)):
        try:
            found = os.stat(path)
        except FileNotFoundError:
            continue
        if found.st_uid or found.st_mode & 0o022:
            raise HookError(f"others than root may write {path}, so nothing of it is used; run guestnet plan")


def guest(name: str, operation: str) -> None:
    if operation == "restore":
        remember(name)
    elif operation == "prepare":
        forget(name)
        reserve(name)
        if os.path.exists(f"{COMPILED}/bridges"):
            with_lock({}, bridges)
    elif operation == "start":
        with_lock({name: True}, lambda: ensure({name: True}))
    elif operation in ("started", "reconnect"):
        with_lock({name: True}, lambda: came(name, operation))
        for file in late if os.path.exists(LET_IN) else ():
            # Nobody waits for it, and it has no lock. It is no part of this file, which each start reads and compiles.
            spawn([sys.executable, "-ISEXutf8", LET_IN, file], quiet=True)
    elif operation == "stopped":
        with_lock({name: False}, lambda: went(name))
    elif operation == "release":
        # `stopped` came before (libvirt 9.0, qemuProcessStop); should it have been cut off, its mark is found now.
        with_lock({name: False}, lambda: None)


def remember(name: str) -> None:
    """A mark: the guest is next started from a saved state, in which it has the addresses that it had."""
    if os.path.exists(f"{COMPILED}/now/{encoded(name)}"):
        os.makedirs(RUN, 0o755, exist_ok=True)
        with open(f"{RUN}/restored.{encoded(name)}", "w"):
            pass


def forget(name: str) -> None:
    """A guest that starts asks for its addresses anew: it most likely gets those that it is to have."""
    for path in (f"{RUN}/restored.{encoded(name)}", f"{COMPILED}/now/{encoded(name)}"):
        try:
            os.unlink(path)
        except FileNotFoundError:
            continue
        return


def came(name: str, operation: str) -> None:
    """The guest runs: its forwards are put in force."""
    if operation == "reconnect":
        ensure({name: True})
    found = elements(name)
    text = (translation() if PARTS in found else "") + add(found)
    if text and not nft(text):
        log(f"{name}: its forwards did not fit the table; all are put in anew")
        rebuild({name: True})
    answer(name, True)
    if operation == "started" and text and os.access(OTHER_HOOK, os.X_OK):
        log(f"{name}: {OTHER_HOOK} is run too; if it forwards ports, retire it: guestnet doctor says how")
    if operation == "started" and ("udp . " in text or " whole" in text):
        late.append(f"{COMPILED}/guests/{encoded(name)}")


def went(name: str) -> None:
    """The guest is off: its forwards go. Adding them first makes deleting safe when some are not there."""
    found = elements(name)
    if found and not nft(add(found) + add(found, "delete")):
        log(f"{name}: its forwards could not be taken out one by one; all are put in anew")
        rebuild({name: False})
    answer(name, False)


def ensure(sure: dict[str, bool]) -> None:
    """The table and the admit rules are there, before a guest runs."""
    if os.access(f"{COMPILED}/table.nft", os.R_OK):
        # Not `list chain inet guestnet forward`: for that nft 1.0.6 reads every element of the table, 130 ms with
        # 20,000 of them. All three are asked at once; iptables, which may be missing, has no say in isolation.
        asked, forward = ask(CHAINS), ask_forward()
        chains = hear(asked)
        ours = chains.partition("table inet guestnet {")[2].partition("\n}")[0]
        if "\tchain forward {" not in ours:
            log("the table inet guestnet is missing; it is put back")
            rebuild(sure)
        for trouble in admit(chains, forward):
            log(trouble)
        admit_chains(chains)
    else:
        complain()


def rules() -> None:
    """Bridges, table, admit rules and forwards are there. Not asking first what is missing: another firewall may have
    emptied chains or maps of a table that is still there."""
    bridges()
    if os.access(f"{COMPILED}/table.nft", os.R_OK):
        passed_over = rebuild({})
        asked, forward = ask(CHAINS), ask_forward()
        chains = hear(asked)
        troubles = admit(chains, forward)
        admit_chains(chains)
        if passed_over:
            troubles.append(f"the forwards of {', '.join(passed_over)} are not in force")
        if troubles:
            raise HookError(f"{'; '.join(troubles)}; run guestnet apply")
    else:
        complain()


def settle() -> None:
    """firewalld, when it starts or is reloaded, empties iptables after systemd takes it for done, and libvirt makes its
    rules anew after that; neither tells anybody. So: until it answers, which it does not while it works at its rules,
    and until ours have stood for a while (firewalld 1.3, libvirt 9.0)."""
    if not os.access(FIREWALLD, os.X_OK) or wait(spawn([FIREWALLD, "--state"], quiet=True)):
        return  # it is not here, or does not run
    import time

    limit(SECONDS_UNIT)
    calm = 0
    while calm < CALM:
        time.sleep(0.5)
        calm += 1
        asked, forward = ask(CHAINS), ask_forward()
        chains = hear(asked)
        if any(mending(program, hear(one), chains) for program, one in forward.items()):
            with_lock({}, rules)
            calm = 0


def complain() -> None:
    """No table is prepared. That is right before the first apply; not when networks of ours are there."""
    folder, _, start = HOSTS.rpartition("/")
    if os.path.isdir(folder) and any(name.startswith(start) for name in os.listdir(folder)):
        raise HookError(f"{COMPILED}/table.nft is missing: no isolation and no forwards; run guestnet apply")


def bridges() -> None:
    """The bridges that are ours over a NIC are there, as they are not after a boot."""
    try:
        with open(f"{COMPILED}/bridges") as source:
            found = [line.split(" ", 2) for line in source]
    except FileNotFoundError:
        return
    for bridge, nic in dict.fromkeys((words[0], words[1]) for words in found):
        if not os.path.exists(f"/sys/class/net/{bridge}") and os.path.exists(f"/sys/class/net/{nic}"):
            new, *rest = [words[2] for words in found if words[0] == bridge]
            made = feed(["ip", "-batch", "-"], new, quiet=False)
            for link in (bridge, nic):
                still(link)
            if not made or not feed(["ip", "-batch", "-"], "".join(rest), quiet=False):
                raise HookError(f"bridge {bridge} over {nic} could not be made")
            log(f"bridge {bridge} was missing; made over {nic}")


def localnet(xml: bytes) -> None:
    """Where a guest serves the host's own 127.0.0.1, its bridge may carry such addresses; a new bridge may not."""
    try:
        with open(f"{COMPILED}/localnets") as source:
            wanted = source.read().split("\n")
    except FileNotFoundError:
        return
    for tag, attributes in tags(xml):
        if tag == "bridge" and attributes.get("name") in wanted[:-1]:
            with open(f"/proc/sys/net/ipv4/conf/{attributes['name']}/route_localnet", "w") as out:
                out.write("1")


def still(link: str) -> None:
    """The host takes no address from the LAN there (see guestnet.compile.bridge)."""
    try:
        with open(f"/proc/sys/net/ipv6/conf/{link}/disable_ipv6", "w") as out:
            out.write("1")
    except OSError:
        pass  # no IPv6 at all on this host


def rebuild(sure: dict[str, bool]) -> list[str]:
    """The whole table in one transaction, with the forwards of all guests that run. `sure`: name -> whether it runs,
    where libvirt's folder may not know it yet. Returns the guests passed over because what is theirs can't be used."""
    with open(f"{COMPILED}/table.nft") as source:
        text = source.read()
    running = {file[:-4] for file in os.listdir(RUNNING) if file.endswith(".xml")} if os.path.isdir(RUNNING) else set()
    for name, runs in sure.items():
        running.add(name) if runs else running.discard(name)
    passed_over = []
    parts = {"prefix NAT": translation()}
    for name in sorted(running):
        try:
            parts[name] = add(elements(name))
        except (HookError, OSError, ValueError) as trouble:  # one guest's trouble is not the others'
            log(trouble)
            passed_over.append(name)
    readable = running - set(passed_over)
    try:
        return put_in(text, parts, passed_over)
    finally:
        if os.path.exists(OUTSIDE):
            answer_for(readable)


def put_in(text: str, parts: dict[str, str], passed_over: list[str]) -> list[str]:
    """The table and what belongs in it; one by one, where nft does not take it all."""
    if nft(text + "".join(parts.values())):
        return passed_over
    # So is what nft does not take: isolation first, then each guest by itself.
    if not nft(text, quiet=False):
        raise HookError("the firewall table could not be put back")
    for name, part in parts.items():
        if part and not nft(part, quiet=False):
            log(f"{name}: nft does not take its forwards; run guestnet apply")
            passed_over.append(name)
    return passed_over


def translation() -> str:
    """What makes prefix NAT follow the uplink's prefix."""
    pairs = [(prefix, ula) for prefix, ula in shared().values() if ula != "-"]
    lines = [f"flush map {TABLE} {name}\n" for name in (INWARDS, OUTWARDS) if pairs]
    for prefix, ula in pairs:
        lines.append(f"add element {TABLE} {INWARDS} {{ {prefix} : {ula} }}\n")
        lines.append(f"add element {TABLE} {OUTWARDS} {{ {ula} : {prefix} }}\n")
    return "".join(lines)


def shared() -> dict[str, tuple[str, str]]:
    """The uplinks whose prefix guests share: NIC -> the prefix there now, and the ULA that is translated, or `-`."""
    if not uplinks and os.path.exists(OUTSIDE):  # most hosts have no such network
        try:
            with open(OUTSIDE) as source:
                for nic, prefix, ula in map(str.split, source):
                    if ula != "-" or nic not in uplinks:
                        uplinks[nic] = (now(nic, prefix), ula)
        except (OSError, ValueError) as trouble:  # the rest goes on
            log(f"{OUTSIDE}: {trouble}; run guestnet apply")
    return uplinks


def now(nic: str, prefix: str) -> str:
    """The prefix if the NIC still has it, else the one that it has instead (the choice of guestnet.decide.outside)."""
    from _socket import AF_INET6, inet_ntop, inet_pton

    there = set()
    with open(ADDRESSES) as source:
        for address, _, length, _, flags, name in map(str.split, source):
            private = address[:2] in ("fc", "fd", "fe")
            if name == nic and length == "40" and not private and not int(flags, 16) & FADING:
                there.add(address[:HALF])
    if not there or inet_pton(AF_INET6, prefix.partition("/")[0]).hex()[:HALF] in there:
        return prefix
    first = inet_ntop(AF_INET6, bytes.fromhex(min(there)) + bytes(8))
    log(f"{nic} has the prefix {first}/64 now, and not {prefix} as at the last apply")
    return f"{first}/64"


def answered(name: str) -> list[str]:
    """The addresses that the host answers for while the guest runs, each as `ADDRESS dev NIC`."""
    found = []
    for line in lines(name):
        kind, nic, address = [*line.split(" "), "", ""][:3]
        if kind == "ndp":
            found.append(f"{address} dev {nic}")
        elif kind == "translated" and nic in shared():
            from _socket import AF_INET6, inet_ntop, inet_pton

            prefix = inet_pton(AF_INET6, shared()[nic][0].partition("/")[0])
            found.append(f"{inet_ntop(AF_INET6, prefix[:8] + inet_pton(AF_INET6, address)[8:])} dev {nic}")
    return found


def answer(name: str, there: bool) -> None:
    """The host answers for the guest on the uplink, or no more."""
    entries = answered(name)
    batch(entries, [] if there else entries)


def answer_for(running: set[str]) -> None:
    """For all guests that run, and for no others of ours."""
    try:
        wanted = {entry for name in running for entry in answered(name)}
        listed = [line.split() for line in hear(ask(["ip", "-6", "neigh", "show", "proxy"])).split("\n")]
    except (OSError, ValueError) as trouble:  # the rules do not depend on it
        log(f"{trouble}; run guestnet plan")
        return
    ours = {" ".join(words[:3]) for words in listed if words[-2:] == ["proto", NDP[1]]}
    batch(sorted(wanted - ours), sorted(ours - wanted))


def batch(come: list[str], go: list[str]) -> None:
    """ip ends at an entry that is not there to delete, whatever -force says (6.1): adding first makes deleting safe."""
    text = "".join(f"neigh replace proxy {entry} {' '.join(NDP)}\n" for entry in (*come, *go))
    text += "".join(f"neigh del proxy {entry}\n" for entry in go)
    try:
        done = not text or feed(["ip", "-force", "-6", "-batch", "-"], text, quiet=False)
    except OSError as trouble:
        log(trouble)
        done = False
    if not done:
        log("not all addresses could be answered for on the uplink; run guestnet plan")


def ask_forward() -> dict[str, tuple[int, int]]:
    """The policy and the rules of FORWARD, of each program that is there."""
    asked = {}
    for program in PROGRAMS:
        try:
            asked[program] = ask([program, "-w", "5", "-S", "FORWARD"])
        except OSError:
            pass  # see `admit`
    return asked


def admit(chains: str, asked: dict[str, tuple[int, int]]) -> list[str]:
    """Our rules on top of FORWARD, where libvirt's chains reject new inbound connections (libvirt 9.0). Returns what
    did not work: the rest does not depend on it."""
    troubles = [
        f"{program} can't be run, so its FORWARD may stop forwards" for program in PROGRAMS if program not in asked
    ]
    for program, one in asked.items():
        text = mending(program, hear(one), chains)
        if text and not restore(program, text, quiet=True):
            # Somebody else changed it just now, as firewalld does when it is reloaded.
            text = mending(program, hear(ask([program, "-w", "5", "-S", "FORWARD"])), chains)
            if text and not restore(program, text, quiet=False):
                troubles.append(f"{program} did not take the admit rule")
    return troubles


def restore(program: str, text: str, quiet: bool) -> bool:
    try:
        return feed([f"{program}-restore", "-w", "5", "-n"], text, quiet=quiet)
    except OSError:  # it is missing
        return False


def mending(program: str, listing: str, chains: str) -> str:
    """What iptables-restore brings our rules to the top of FORWARD with; nothing where they are there. libvirt puts its
    jumps on top when it makes them anew, after a flush. Where the policy is DROP and libvirt has its nftables backend,
    rules for guests' way out follow the one that admits forwards."""
    there = [line[11:] for line in listing.split("\n") if line.startswith("-A FORWARD ")]
    more = prepared().get(program, []) if listing.startswith("-P FORWARD DROP\n") and BACKEND in chains else []
    top = [rule.replace(COMMENTED, "") for rule in there[1 : 1 + len(more)]]
    if is_admit(*there[:1]) and top == more:
        return ""
    lines = [f"-D FORWARD {rule}" for rule in there if COMMENTED in rule or is_admit(rule)]
    lines += [f"-I FORWARD 1 {COMMENTED}{rule}" for rule in reversed(more)]
    return "\n".join(["*filter", *lines, f"-I FORWARD 1 {' '.join(ADMIT)}", "COMMIT", ""])


def is_admit(rule: str = "") -> bool:
    return "--mark 0x2000/0x2000" in rule and "--ctstate DNAT" in rule and "-j ACCEPT" in rule


def prepared() -> dict[str, list[str]]:
    """The rules of ours for chains of others, by the chain or the program of iptables."""
    found: dict[str, list[str]] = {}
    try:
        with open(f"{COMPILED}/admit", errors="replace") as source:
            for line in source:
                name, _, rule = line.rstrip("\n").partition("\t")
                found.setdefault(name, []).append(rule)
    except FileNotFoundError:  # an apply before this version
        pass
    return found


def admit_chains(chains: str) -> None:
    """Our rules on top of nft chains of others that are there: libvirt's nftables backend, and what `apply --admit` was
    for. Most hosts have none, and start no further program here."""
    wanted: dict[str, list[str]] = {}
    for name, those in prepared().items():
        table, _, chain = name.rpartition(" ")
        if f"\tchain {chain} {{" in chains.partition(f"table {table} {{\n")[2].partition("\n}")[0]:
            wanted[name] = those
    asked = {name: ask(["nft", "-a", "list", "chain", *name.split(" ")]) for name in wanted}
    for name, new in wanted.items():
        # Table and chain have handles, too.
        there = [line for line in hear(asked[name]).split("\n") if " # handle " in line]
        there = [line for line in there if not line.startswith(("table ", "\tchain "))]
        ours = [COMMENT in line for line in there]
        if ours != [True] * len(new) + [False] * (len(there) - len(new)):
            text = "".join(
                f"delete rule {name} handle {line.rpartition(' ')[2]}\n" for line in there if COMMENT in line
            )
            text += "".join(f"insert rule {name} {rule}\n" for rule in reversed(new))
            if not nft(text, quiet=False):
                log(f"nft did not take our rules in the chain {name}; run guestnet apply")  # the rest goes on


def reserve(name: str) -> None:
    """The guest's addresses are reserved by its MAC before it asks for them, also when apply did not know it yet."""
    wanted = [nic for nic in nics(name) if nic[1] == "-" and os.path.isdir(HOSTS + nic[0])]
    if wanted:
        there = {encoded(nic.get("network", "")): nic for nic in xml_nics() if "address" in nic}
        for network, _, ipv4, ipv6 in wanted:
            if network in there:
                change_reservation(there[network]["network"], name, there[network]["address"].lower(), ipv4, ipv6)


def plugged(network: str, xml: bytes) -> None:
    """A NIC was plugged into a guest that runs: its reservation, where apply did not know its MAC. At a start `reserve`
    has seen to it. The guest's first NIC in the network is the one that counts."""
    guest, mac = port(xml)
    running = f"{RUNNING}/{guest}.xml"
    if not mac or "/" in guest or not os.path.exists(running):
        return
    others = {nic.get("address", "").lower() for nic in running_nics(running) if nic.get("network") == network}
    for folder, known, ipv4, ipv6 in nics(guest):
        if (folder, known) == (encoded(network), "-") and others <= {mac} and os.path.isdir(HOSTS + folder):
            change_reservation(network, guest, mac, ipv4, ipv6)


def port(xml: bytes) -> tuple[str, str]:
    """The guest's name and the MAC, in what libvirt says of a network's new port; empty ones when there are none. The
    first <mac> there is the bridge's own."""
    found = tags(xml)
    inside = found[next((i for i, (tag, _) in enumerate(found) if tag == "networkport"), len(found)) :]
    name = "".join(attributes.get("text", "") for tag, attributes in inside if tag == "owner/name")
    return name, next((attributes.get("address", "").lower() for tag, attributes in inside if tag == "mac"), "")


def change_reservation(network: str, name: str, mac: str, ipv4: str, ipv6: str) -> None:
    path = f"{HOSTS}{encoded(network)}/{encoded(name)}"
    old = write_reservation(path, mac, ipv4, ipv6, name)
    former = old.split(",")[0].strip()
    if old:
        reread(network)
    if former not in ("", mac):
        try:
            release(network, former)
        except (OSError, ValueError, KeyError, StopIteration) as trouble:
            log(f"{name}: {mac} waits for the end of {former}'s lease: {type(trouble).__name__} {trouble}")


def reread(network: str) -> None:
    """The network's dnsmasq drops what it knew of a guest that was defined anew (see guestnet.host.dnsmasq)."""
    try:
        with open(f"/run/libvirt/network/{network}.pid") as source:
            pid = int(source.read())
        with open(f"/proc/{pid}/comm") as source:
            if source.read().strip() == "dnsmasq":
                os.kill(pid, 1)  # SIGHUP
    except (OSError, ValueError) as trouble:
        log(f"dnsmasq of network {network}: {trouble}")


def release(network: str, mac: str) -> None:
    """Gives back the leases of a MAC that its guest no longer has, as that NIC would have done: dnsmasq keeps its
    addresses otherwise, for an hour (IPv4) or a day (IPv6), and the guest gets others. RFC 2131, 4.4.6; RFC 8415,
    18.2.7. No answer matters."""
    import json
    import socket

    with open(f"/run/libvirt/network/{network}.xml", "rb") as source:
        found = tags(source.read())
    bridge = next(attributes["name"] for tag, attributes in found if tag == "bridge")
    server = next((a["address"] for tag, a in found if tag == "ip" and "." in a["address"]), "")
    with open(f"/var/lib/libvirt/dnsmasq/{bridge}.status") as source:
        leases = [lease for lease in json.load(source) if lease.get("mac-address") == mac]
    for lease in leases:
        client = bytes.fromhex(lease.get("client-id", "").replace(":", ""))
        if ":" in lease["ip-address"]:
            address = socket.inet_pton(socket.AF_INET6, lease["ip-address"])
            duid = bytes.fromhex(lease["server-duid"].replace(":", ""))
            identity = int(lease["iaid"]).to_bytes(4, "big") + bytes(8) + option(5, address + bytes(8))
            text = b"\x08GST" + option(1, client) + option(2, duid) + option(3, identity) + option(8, bytes(2))
            with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as link:
                link.sendto(text, ("ff02::1:2", 547, 0, socket.if_nametoindex(bridge)))
        else:
            hardware = bytes.fromhex(mac.replace(":", ""))
            head = b"\1\1\6\0GUST" + bytes(4) + socket.inet_aton(lease["ip-address"]) + bytes(12)
            text = head + hardware + bytes(10 + 192) + b"\x63\x82\x53\x63\x35\1\7\x36\4" + socket.inet_aton(server)
            text += (bytes([61, len(client)]) + client if client else b"") + b"\xff"
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
                link.sendto(text, (server, 67))


def option(code: int, data: bytes) -> bytes:
    """Of DHCPv6."""
    return code.to_bytes(2, "big") + len(data).to_bytes(2, "big") + data


def write_reservation(path: str, mac: str, ipv4: str, ipv6: str, name: str) -> str:
    """The other reservation that stood there; empty when there was none."""
    label = name if name.isascii() and name.replace("-", "").isalnum() and name[0] != "-" != name[-1] else ""
    parts = [
        mac,
        "" if ipv4 == "-" else ipv4,
        "" if ipv6 == "-" else f"[{ipv6}]",
        label if len(label) <= LABEL_BYTES else "",
    ]
    line = ",".join(part for part in parts if part) + "\n"
    other = ""
    if os.path.exists(path):
        with open(path) as source:
            other = source.read()
        if other == line:
            return ""
    folder, _, file = path.rpartition("/")
    temporary = f"{folder}/.{file}.guestnet-new"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.write(descriptor, line.encode())
    os.fchmod(descriptor, 0o644)
    os.close(descriptor)
    os.rename(temporary, path)
    return other


def replug(name: str, xml: bytes) -> None:
    """The network was started: taps of guests that run go back into its bridge, where net-destroy took them out."""
    found = tags(xml)
    first = next((attributes for tag, attributes in found if tag == "bridge" and "name" in attributes), {})
    if not first or not os.path.isdir(HOSTS + encoded(name)) or not os.path.isdir(RUNNING):
        return
    files = [f"{RUNNING}/{file}" for file in os.listdir(RUNNING) if file.endswith(".xml")]
    taps = [nic["dev"] for file in files for nic in running_nics(file) if nic.get("network") == name and "dev" in nic]
    if taps:
        plug_in(first["name"], taps, first.get("stp") == "on", ("port", {"isolated": "yes"}) in found)


def plug_in(bridge: str, taps: list[str], stp: bool, isolated: bool) -> None:
    """At once, as guestnet.host.taps says why: before the bridge speaks STP, and without waiting for the detection of
    the host's own IPv6 address elsewhere. Where each guest says so itself, `apply` isolates it."""
    try:
        with open(f"/proc/sys/net/ipv6/conf/{bridge}/accept_dad", "w") as out:
            out.write("0")
    except OSError:
        pass  # no IPv6 at all on this host
    lines = [f"link set {tap} master {bridge}" for tap in taps]
    lines += [f"link set {tap} type bridge_slave isolated on" for tap in taps if isolated]
    if stp:
        lines = [f"link set {bridge} type bridge stp_state 0", *lines, f"link set {bridge} type bridge stp_state 1"]
    feed(["ip", "-force", "-batch", "-"], "\n".join(lines) + "\n", quiet=True)


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


def lines(name: str, folder: str = "guests") -> list[str]:
    """The lines prepared for a guest; none when there is no file for it."""
    try:
        with open(f"{COMPILED}/{folder}/{encoded(name)}") as source:
            found = source.read().split("\n")
    except (FileNotFoundError, IsADirectoryError):  # a guest that is not in the file, or without a name
        return []
    if found[0] != VERSION or found[-2:] != ["end", ""]:
        raise HookError(f"{name}: what was prepared for it is of another version, or cut short; run guestnet apply")
    return found[1:-2]


def nics(name: str) -> list[list[str]]:
    return [line.split(" ")[1:5] for line in lines(name) if line.startswith("nic ")]


def elements(name: str) -> dict[str, list[str]]:
    """Map -> its elements for this guest, as nft writes them."""
    found: dict[str, list[str]] = {}
    new: set[str] = set()
    for line in lines(name, "now") or lines(name):
        key, _, item = line.partition(" ")
        if key in MAPS:
            found.setdefault(key, []).append(item)
        elif key == "translated":
            found.setdefault(PARTS, []).append(item.partition(" ")[2])
        elif key not in ("nic", "ndp"):
            new.add(key)
    if new - unknown:
        log(f"{name}: {', '.join(sorted(new - unknown))}: prepared by another version, passed over; run guestnet apply")
        unknown.update(new)
    return found


def add(found: dict[str, list[str]], verb: str = "add") -> str:
    return "".join(f"{verb} element {TABLE} {key} {{ {', '.join(items)} }}\n" for key, items in found.items())


def encoded(name: str) -> str:
    """A name as a file name, as `guestnet.compile.dhcp.file_name` has it."""
    safe = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    parts = (bytes([byte]) if byte in safe or byte >= NOT_ASCII else b"%%%02X" % byte for byte in os.fsencode(name))
    return os.fsdecode(b"".join(parts))


def nft(text: str, quiet: bool = True) -> bool:
    """Whether nft took the text, in one transaction."""
    return feed(["nft", "-f", "-"], text, quiet=quiet)


def feed(argv: list[str], text: str, quiet: bool) -> bool:
    """Whether a program took the text."""
    read_end, write_end = os.pipe()
    pid = spawn(argv, (read_end, write_end), quiet=quiet)
    os.close(read_end)
    try:
        rest = text.encode()
        while rest:
            rest = rest[os.write(write_end, rest) :]
    except BrokenPipeError:
        pass  # nft ended early; its exit code says why
    finally:
        os.close(write_end)
    return wait(pid) == 0


def ask(argv: list[str]) -> tuple[int, int]:
    """Starts a program, for `hear`."""
    read_end, write_end = os.pipe()
    try:
        pid = spawn(argv, quiet=True, out=(write_end, read_end))
    except OSError:  # it is missing
        os.close(read_end)
        raise
    finally:
        os.close(write_end)
    return pid, read_end


def hear(asked: tuple[int, int]) -> str:
    """What a program prints; nothing when it fails."""
    pid, read_end = asked
    with open(read_end, errors="replace") as source:
        text = source.read()
    wait(pid)
    return text


def spawn(
    argv: list[str],
    pipe: tuple[int, int] | None = None,
    quiet: bool = False,
    out: tuple[int, int] | None = None,
) -> int:
    """Starts a program. Its errors go into the log, or to the unit, unless `quiet`. It reads from `pipe` and writes to
    `out`, each the end for it and the end for us, or from and to nothing."""
    actions: list[tuple[object, ...]] = []
    if out is None:
        actions.append((os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0))
    else:
        actions += [(os.POSIX_SPAWN_DUP2, out[0], 1), (os.POSIX_SPAWN_CLOSE, out[1])]
    if quiet:
        actions.append((os.POSIX_SPAWN_OPEN, 2, "/dev/null", os.O_WRONLY, 0))
    elif not by_unit():
        os.makedirs(os.path.dirname(LOG), 0o750, exist_ok=True)
        actions.append((os.POSIX_SPAWN_OPEN, 2, LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640))
    if pipe is None:
        actions.append((os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0))
    else:
        actions += [(os.POSIX_SPAWN_DUP2, pipe[0], 0), (os.POSIX_SPAWN_CLOSE, pipe[1])]
    pid = os.posix_spawnp(argv[0], argv, ENVIRONMENT, file_actions=actions)
    children.add(pid)
    return pid


def wait(pid: int) -> int:
    status = os.waitpid(pid, 0)[1]
    children.discard(pid)
    return status


def with_lock(sure: dict[str, bool], act: "Callable[[], object]") -> None:
    """One change of the rules at a time. The lock is held by what this started, too: an nft that outlives a killed run
    must not change what the next one did.

    Each run leaves a mark, locked as long as it lives, before it waits, and takes it away when it is done. One that
    nobody holds is of a run that was killed, or failed: nobody knows how far it came, so everything is put in anew.
    """
    os.makedirs(RUN, 0o755, exist_ok=True)
    own = f"busy.{os.getpid()}"
    stale = os.path.exists(f"{RUN}/{own}")  # of an earlier process with our id
    if stale:
        os.unlink(f"{RUN}/{own}")
    # It has no name until it is locked, so no other run can take it for abandoned. (With src_dir_fd Python calls
    # linkat(2), which follows the link in /proc, as open(2) has it for O_TMPFILE.)
    mark = os.open(RUN, os.O_WRONLY | os.O_TMPFILE | os.O_CLOEXEC, 0o600)
    fcntl.flock(mark, fcntl.LOCK_EX)
    os.link(f"/proc/self/fd/{mark}", f"{RUN}/{own}", src_dir_fd=mark)
    descriptor = os.open(LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.set_inheritable(descriptor, True)
    # Who finishes takes its mark away under this lock, so none of those is seen here.
    dead = [file for file in os.listdir(RUN) if file.startswith("busy.") and abandoned(f"{RUN}/{file}")]
    act()
    if dead or stale:
        log(f"{len(dead) + stale} earlier runs did not finish; all forwards are put in anew")
        rebuild(sure)
        for file in dead:
            os.unlink(f"{RUN}/{file}")
    os.unlink(f"{RUN}/{own}")
    os.close(descriptor)


def abandoned(path: str) -> bool:
    """Whether nobody holds a mark. Its name, a process id, says nothing: ids are given anew."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def by_unit() -> bool:
    """guestnet.service runs this, not libvirt."""
    return sys.argv[2:3] == [RULES]


def log(text: object) -> None:
    import time

    os.makedirs(os.path.dirname(LOG), 0o750, exist_ok=True)
    if os.path.exists(LOG) and os.path.getsize(LOG) > LOG_BYTES:
        os.rename(LOG, f"{LOG}.1")
    with open(LOG, "a", errors="backslashreplace") as out:
        line = f"{' '.join(sys.argv[1:3])}: {text}".replace("\n", "\\n")  # a name must not forge a line
        out.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n")
    if by_unit():
        os.write(2, f"{line}\n".encode(errors="backslashreplace"))


def limit(seconds: int) -> None:
    """This run ends within so many seconds from now."""
    limits.append(seconds)
    _signal.alarm(seconds)


def too_long(_number: int, _frame: object) -> None:
    for pid in children:
        os.kill(pid, 9)
    try:
        log(f"not done within {limits[-1]} s; given up. Run guestnet apply")
    finally:
        os._exit(int(by_unit()))


def run() -> None:
    """One run of the hook, to its exit."""
    code = 0
    try:
        _signal.signal(14, too_long)  # SIGALRM
        limit(SECONDS)
        os.environ.clear()  # programs are looked for on our own PATH, not on the caller's
        os.environ.update(ENVIRONMENT)
        main(sys.argv)
    except BaseException as error:
        code = int(by_unit())
        try:
            log(f"{type(error).__name__}: {error}")
        except BaseException:
            pass
    os._exit(code)
