"""guestnet.service under a real systemd, with packets; and `guestnet setup`, which comes before the first apply."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from lab import Lab
from lab.host import GUESTNET, Host
from lab.process import wait_for
from lab.systemd import Systemd
from tests.live.conftest import ADMIT, FILE, MAC, REACHED, SEED, WAYS

pytestmark = pytest.mark.lab

UNIT = "/etc/systemd/system/guestnet.service"
HOOK = "/etc/libvirt/hooks/qemu.d/50-guestnet"
DROP_IN = f"{UNIT}.d/lab.conf"
COMPLETIONS = [
    "/usr/local/share/bash-completion/completions/guestnet",
    "/usr/local/share/zsh/site-functions/_guestnet",
    "/etc/fish/completions/guestnet.fish",
]
# What docker does to FORWARD when it starts: its own jump on top, and all that nobody accepts is dropped.
DOCKER = """
[Unit]
After=nftables.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -ec 'for i in iptables ip6tables; do $$i -N DOCKER || true; $$i -P FORWARD DROP; $$i -F FORWARD; \
$$i -I FORWARD -j DOCKER; done'
ExecReload=/bin/true
"""


class World(NamedTuple):
    """A lab whose host systemd runs, with the seed example applied; a fake guest answers in the place of web1."""

    lab: Lab
    systemd: Systemd

    def answers(self) -> list[str]:
        """What clients in the internet get over each way: the line that answered, or that nobody did."""
        probes = [self.lab.inet.probe(way.protocol, way.host, 4080, source=way.client, timeout=0.5) for way in WAYS]
        return [got.text if got.answered else "nobody" for got in probes]

    def wait_reached(self) -> None:
        """systemctl waits for the unit it names, not for those that the reload or restart is passed on to."""
        wait_for(f"answers of web1, not {self.answers()}", lambda: self.answers() == REACHED)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with Lab() as lab:
        host = lab.host
        host.write(FILE, SEED)
        host.write("/etc/nftables.conf", "#!/usr/sbin/nft -f\nflush ruleset\n")
        host.write("/run/docker.service", DOCKER)
        with Systemd(host) as systemd:
            host.shell("cp /run/docker.service /etc/systemd/system/")
            systemd.systemctl("daemon-reload")
            systemd.systemctl("start", "nftables")
            systemd.systemctl("start", "docker")
            said = systemd.guestnet("apply", "--yes")
            assert "+ guestnet.service, restores rules at boot and after reloads of other firewalls" in said.stdout
            host.fake_guest("web1", "virbr84", mac=MAC).wait_addresses()
            host.write("/run/libvirt/qemu/web1.xml", "<domstatus/>")  # it runs, for the hook
            host.run([HOOK, "web1", "started", "begin", "-"], input="<domain/>")
            world = World(lab, systemd)
            assert world.answers() == REACHED
            yield world


NOBODY = ["nobody"] * len(WAYS)
REMOVE = "; ".join(f"{program} -D FORWARD {' '.join(ADMIT)}" for program in ("iptables", "ip6tables"))
FLUSHES = {
    "the admit rules": REMOVE,
    "chains of our table": "nft flush table inet guestnet",
    "our elements": "for m in any4 any6 on4 on6; do nft flush map inet guestnet $m; done",
    "our table": "nft delete table inet guestnet",
    "all": "nft flush ruleset; iptables -F FORWARD; ip6tables -F FORWARD",
}


@pytest.mark.parametrize("what", FLUSHES)
def test_the_reload_command_brings_back(world: World, what: str) -> None:
    """Exactly the command line of the installed unit, as systemd would run it, without systemd."""
    host = world.lab.host
    [command] = [line.partition("=")[2] for line in host.read(UNIT).splitlines() if line.startswith("ExecReload=")]
    host.shell(f"{FLUSHES[what]}; conntrack -F")  # a UDP flow that is tracked goes on without the rules
    assert world.answers() == NOBODY
    done = host.run(command.split(" "))
    assert (done.stdout, done.stderr) == ("", "")
    assert world.answers() == REACHED
    for program in ("iptables", "ip6tables"):
        first = host.run([program, "-S", "FORWARD", "1"]).stdout
        assert "--mark 0x2000/0x2000" in first


def test_a_reload_of_nftables_is_passed_on(world: World) -> None:
    """Its configuration begins with `flush ruleset`, as Debian's."""
    listed = world.lab.host.run(["nft", "list", "tables"]).stdout
    assert "inet guestnet" in listed
    world.systemd.systemctl("reload", "nftables")
    world.wait_reached()
    world.systemd.systemctl("restart", "nftables")
    world.wait_reached()


def test_a_restart_of_docker_is_passed_on(world: World) -> None:
    before = world.systemd.systemctl("show", "guestnet", "--property=InvocationID").stdout
    world.systemd.systemctl("restart", "docker")
    world.wait_reached()
    assert world.systemd.systemctl("show", "guestnet", "--property=InvocationID").stdout != before
    assert "policy drop" in world.lab.host.run(["nft", "list", "chain", "ip", "filter", "FORWARD"]).stdout


def test_restarts_one_after_the_other_are_all_passed_on(world: World) -> None:
    """systemd's own limit is five starts in 10 s; theirs is lifted here, each alone stays below it."""
    for _ in range(4):
        for name in ("nftables", "docker"):
            world.systemd.systemctl("reset-failed", name)
            world.systemd.systemctl("restart", name)
    world.wait_reached()
    wait_for("the unit", lambda: world.systemd.state("guestnet") == "active")


def test_a_stop_stops_it_and_the_next_start_brings_it_back(world: World) -> None:
    world.systemd.systemctl("stop", "docker")
    assert world.systemd.state("guestnet") == "inactive"
    assert world.answers() == REACHED, "the rules stay"
    world.systemd.systemctl("start", "docker")
    world.wait_reached()
    wait_for("the unit", lambda: world.systemd.state("guestnet") == "active")


def test_it_says_what_is_wrong_to_systemd_and_never_to_libvirt(world: World) -> None:
    host, path = world.lab.host, "/var/lib/guestnet/compiled/table.nft"
    table = host.read(path)
    host.write(path, "nonsense\n")
    done = host.run([HOOK, "-", "rules"], check=False)
    assert done.returncode == 1
    assert "syntax error" in done.stderr
    assert "the firewall table could not be put back" in done.stderr
    assert world.systemd.systemctl("reload", "guestnet", check=False).returncode == 1
    assert world.systemd.systemctl("restart", "guestnet", check=False).returncode == 1
    assert world.systemd.state("guestnet") == "failed"
    assert host.run([HOOK, "web1", "start", "begin", "-"]).stderr == ""
    host.write(path, table)

    # One guest's trouble is said, and the others have their forwards all the same.
    host.write("/var/lib/guestnet/compiled/guests/odd", "guestnet 0\n")
    host.write("/run/libvirt/qemu/odd.xml", "<domstatus/>")
    done = host.run([HOOK, "-", "rules"], check=False)
    assert done.returncode == 1
    assert "the forwards of odd are not in force" in done.stderr
    assert world.answers() == REACHED
    host.run(["rm", "/run/libvirt/qemu/odd.xml", "/var/lib/guestnet/compiled/guests/odd"])
    world.systemd.systemctl("start", "guestnet")


def plan(world: World) -> str:
    """The plan's lines about the unit."""
    lines = world.systemd.guestnet("plan").stdout.splitlines()
    return "\n".join(line.strip() for line in lines if "guestnet.service" in line)


def test_a_unit_that_is_not_as_it_should_be_is_seen_and_mended(world: World) -> None:
    assert plan(world) == ""
    for script, seen in (
        (["systemctl", "stop", "guestnet"], "~ guestnet.service, started"),
        (["systemctl", "disable", "--now", "guestnet"], "~ guestnet.service, enabled and started"),
        (["sh", "-c", f"echo >> {UNIT}"], "~ guestnet.service, restores rules at boot"),
        (["rm", UNIT], "+ guestnet.service, restores rules at boot"),
    ):
        world.systemd.run(script)
        assert plan(world).startswith(seen)
        world.systemd.guestnet("apply", "--yes")
        assert plan(world) == ""
        assert world.systemd.state("guestnet") == "active"
        assert world.systemd.systemctl("is-enabled", "guestnet").stdout == "enabled\n"


def test_verify_has_nothing_to_say(world: World) -> None:
    done = world.systemd.run(["systemd-analyze", "verify", UNIT])
    assert (done.stdout, done.stderr) == ("", "")


def units(host: Host) -> str:
    return host.shell("find /etc/systemd/system | sort").stdout


def test_without_networks_it_stays_and_destroy_takes_it(world: World) -> None:
    host = world.lab.host
    assert "guestnet destroy" in world.systemd.guestnet("setup", "--remove", check=False).stderr
    host.run(["rm", "/run/libvirt/qemu/web1.xml"])
    host.write(FILE, "networks: {}\n")
    world.systemd.guestnet("apply", "--yes")
    assert host.exists(UNIT)
    assert host.exists(HOOK)
    assert "Nothing to do" in world.systemd.guestnet("plan").stdout
    world.systemd.guestnet("destroy", "--yes")
    assert units(host).split() == ["/etc/systemd/system", "/etc/systemd/system/docker.service"]
    assert not host.exists(HOOK)
    assert "guestnet" not in world.systemd.systemctl("list-units", "--all", "--no-legend", "guestnet.service").stdout


def test_an_apply_whose_unit_does_not_start_is_undone(world: World) -> None:
    host = world.lab.host
    host.libvirtd.restart()  # its own chains were flushed, and it makes them when it starts
    host.write(FILE, SEED)
    host.write(DROP_IN, "[Service]\nExecStartPre=/bin/false\n")
    world.systemd.systemctl("daemon-reload")
    before = units(host)
    done = world.systemd.guestnet("apply", "--yes", check=False)
    assert done.returncode == 1
    assert "systemctl status guestnet.service" in done.stderr
    assert units(host) == before
    assert "guestnet" not in host.run(["nft", "list", "tables"]).stdout
    host.run(["rm", "-r", f"{UNIT}.d"])
    world.systemd.systemctl("daemon-reload")


def test_setup_comes_before_the_first_apply() -> None:
    """And at the next boot the rules are there before libvirt is."""
    with Lab() as lab:
        host = lab.host
        host.write(FILE, SEED)
        with Systemd(host) as systemd:
            said = systemd.guestnet("setup").stdout
            assert "restart libvirt once" in said
            assert "guestnet.service enabled and started" in said
            assert systemd.state("guestnet") == "active", "it hears of reloads from the first apply on"
            host.libvirtd.restart()
            assert "restart libvirt once" not in systemd.guestnet("setup").stdout
            applied = systemd.guestnet("apply", "--yes").stdout
            assert "hook" not in applied
            assert "guestnet.service" not in applied
            host.shell("nft flush ruleset")
            systemd.systemctl("reload", "guestnet")
            assert "inet guestnet" in host.run(["nft", "list", "tables"]).stdout
        host.reboot(libvirtd=False)
        assert host.run(["nft", "list", "tables"]).stdout == ""
        with Systemd(host) as systemd:
            assert systemd.state("guestnet") == "active"
            assert "inet guestnet" in host.run(["nft", "list", "tables"]).stdout
            for program in ("iptables", "ip6tables"):
                host.run([program, "-C", "FORWARD", *ADMIT])


@pytest.fixture
def bare() -> Iterator[Host]:
    """A host without systemd, libvirt and file."""
    with Lab(libvirtd=False) as lab:
        yield lab.host


def files(host: Host) -> str:
    return host.shell("find /etc /usr/local /var/lib/guestnet /run 2>/dev/null | sort || true").stdout


def test_setup_twice_and_its_removal(bare: Host) -> None:
    before = files(bare)
    said = bare.guestnet("setup").stdout.splitlines()
    assert len([line for line in said if line.endswith(" added")]) == 3 + 1 + len(COMPLETIONS)
    assert said[-1] == f"next: write {FILE}, then: guestnet plan"
    assert not bare.exists(UNIT)
    for path in (HOOK, *COMPLETIONS):
        assert bare.exists(path)
    assert bare.run(["/usr/local/bin/guestnet", "--version"]).stdout == bare.guestnet("--version").stdout
    assert bare.run(["/usr/local/bin/guestnet", "setup"]).stdout.startswith("Nothing to do: it is all there.\n")
    bare.guestnet("setup", "--remove")
    assert files(bare) == before
    assert bare.guestnet("setup", "--remove").stdout == "Nothing to do: it is all gone.\n"


def test_setup_leaves_alone_what_is_not_ours(bare: Host) -> None:
    for path in (COMPLETIONS[0], "/usr/local/bin/guestnet"):
        bare.write(path, "theirs\n")
        said = bare.guestnet("setup").stderr
        assert f"left alone: {path} is not guestnet's" in said
        bare.guestnet("setup", "--remove")
        assert bare.read(path) == "theirs\n"
    bare.shell("rm /usr/local/bin/guestnet; ln -s /bin/true /usr/local/bin/guestnet")
    assert "left alone: /usr/local/bin/guestnet" in bare.guestnet("setup").stderr
    assert bare.run(["readlink", "/usr/local/bin/guestnet"]).stdout == "/bin/true\n"
    bare.shell("rm /usr/local/bin/guestnet; ln -s /nowhere/guestnet /usr/local/bin/guestnet")
    assert "link /usr/local/bin/guestnet changed" in bare.guestnet("setup").stdout
    assert bare.run(["readlink", "/usr/local/bin/guestnet"]).stdout == f"{GUESTNET}\n"


def test_setup_is_roots(bare: Host) -> None:
    read = ("--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search")
    done = bare.run(["setpriv", "--reuid", "65534", "--clear-groups", *read, GUESTNET, "setup"], check=False)
    assert done.returncode == 1
    assert "sudo guestnet setup" in done.stderr


def test_bash_completes(bare: Host) -> None:
    bare.guestnet("setup")
    script = f"""source {COMPLETIONS[0]}
    COMP_WORDS=(guestnet pl); COMP_CWORD=1; _guestnet_completion guestnet; echo ${{COMPREPLY[@]}}
    COMP_WORDS=(guestnet render --only ''); COMP_CWORD=3; _guestnet_completion guestnet; echo ${{COMPREPLY[@]}}"""
    assert bare.run(["bash", "-c", script]).stdout.splitlines() == ["plan", "xml nft dhcp gai"]
