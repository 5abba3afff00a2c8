"""libvirt's hook for guestnet: forwards appear when a guest starts and vanish when it stops.

libvirt runs it as hooks/qemu.d/50-guestnet NAME OPERATION SUB-OPERATION, with the guest's XML on standard input, and as
hooks/network.d/50-guestnet with the network's. It waits for it, and for several operations a failure stops the guest
(`reconnect` even kills a running one), so: this ends with exit code 0 whatever happens, within a time limit, and says
why in /var/log/guestnet/hook.log. It prints nothing: for `migrate` and `restore` its output would be the guest's XML.

Python's flags: -I and -E keep the environment and the folder out of it, -S skips site, which costs a third of the
start, -Xutf8 reads names as libvirt writes them whatever the locale.

guestnet.service runs it too, as 50-guestnet - rules: everything is put in anew. Only then a failure is an exit code of
1, with the reason on standard error, for `systemctl status`. libvirt has no operation of that name.

A small file in libvirt's folders (guestnet.compile.hookfront) imports the program, which stands in one file at
/var/lib/guestnet/hook.py (guestnet.compile.hookprogram), and calls `run`: so Python compiles it once, and not before
each guest's start three times.

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
import os
import sys

from guestnet.faces.hook.admits import CHAINS, admit, admit_chains, ask_forward, mending
from guestnet.faces.hook.bridges import bridges, localnet, replug
from guestnet.faces.hook.forwards import came, forget, late, remember, went
from guestnet.faces.hook.prepared import COMPILED, trust
from guestnet.faces.hook.programs import (
    ENVIRONMENT,
    RULES,
    HookError,
    ask,
    by_unit,
    hear,
    limit,
    log,
    spawn,
    too_long,
    wait,
)
from guestnet.faces.hook.reservations import plugged, reserve
from guestnet.faces.hook.table import complain, ensure, rebuild
from guestnet.faces.hook.turns import with_lock

SECONDS = 10  # a guest's start waits no longer than this
SECONDS_UNIT = 25  # guestnet.service, where firewalld runs
CALM = 8  # half seconds
FIREWALLD = "/usr/bin/firewall-cmd"
LET_IN = f"{COMPILED}/let_in.py"


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
            # Nobody waits for it, and it has no lock. It is no part of this program, which each start loads.
            spawn([sys.executable, "-ISEXutf8", LET_IN, file], quiet=True)
    elif operation == "stopped":
        with_lock({name: False}, lambda: went(name))
    elif operation == "release":
        # `stopped` came before (libvirt 9.0, qemuProcessStop); should it have been cut off, its mark is found now.
        with_lock({name: False}, lambda: None)


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
    if not os.access(FIREWALLD, os.X_OK):
        return
    import time

    limit(SECONDS_UNIT)
    while wait(spawn([FIREWALLD, "--state"], quiet=True)):
        # It has no name on D-Bus yet, and will empty iptables after it has; or it does not run.
        if wait(spawn(["systemctl", "is-active", "--quiet", "firewalld"], quiet=True)):
            return
        time.sleep(0.2)
    calm = 0
    while calm < CALM:
        time.sleep(0.5)
        calm += 1
        asked, forward = ask(CHAINS), ask_forward()
        chains = hear(asked)
        if any(mending(program, hear(one), chains) for program, one in forward.items()):
            with_lock({}, rules)
            calm = 0


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
