"""Rules of ours on top of chains of others, as guestnet.compile.admit prepared them."""

from guestnet.faces.hook.prepared import COMPILED
from guestnet.faces.hook.programs import ask, feed, hear, log, nft

ADMIT = ("-m", "conntrack", "--ctstate", "DNAT", "-m", "connmark", "--mark", "0x2000/0x2000", "-j", "ACCEPT")
PROGRAMS = ("iptables", "ip6tables")
CHAINS = ["nft", "list", "chains"]
COMMENTED = "-m comment --comment guestnet "  # in rules of ours in iptables' FORWARD, as it prints them
BACKEND = " libvirt_network {"  # the table of libvirt's nftables backend, in nft's listing
COMMENT = ' comment "guestnet" # handle '  # after each rule of ours in a chain of others, in nft's listing


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
