"""Wrong input and missing things: one clear line each with what to do, exit code 1, nothing touched, no traceback."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab import Lab
from lab.host import GUESTNET, Host
from tests.live.conftest import FILE, SEED

pytestmark = pytest.mark.lab

# May read what root may: the checkout can be in /root, which is closed to others.
READ = ("--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search")
NOBODY = ("setpriv", "--reuid", "65534", "--clear-groups", *READ)
VERBS = [("status",), ("plan",), ("apply", "--yes"), ("destroy", "--yes")]


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab() as lab:
        lab.host.write(FILE, SEED)
        yield lab


def touched(host: Host) -> str:
    """Everything that an apply could have changed."""
    script = """
    find /etc/libvirt /etc/sysctl.d /var/lib/guestnet /var/lib/libvirt/dnsmasq /var/log/guestnet -type f 2>/dev/null
    nft -s list ruleset; ls /sys/class/net; virsh -q net-list --all; cat /proc/sys/net/ipv4/ip_forward
    """
    return host.run(["sh", "-c", script], check=False).stdout


def refused(host: Host, *args: str, prefix: tuple[str, ...] = ()) -> str:
    """Runs guestnet, which must refuse: its standard error."""
    before = touched(host)
    done = host.run([*prefix, GUESTNET, *args], check=False)
    assert done.returncode == 1, done
    assert "Traceback" not in done.stderr + done.stdout
    assert touched(host) == before
    return done.stderr


def one_line(text: str) -> str:
    assert len(text.strip().splitlines()) == 1, text
    return text.strip()


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb[0])
def test_not_root(lab: Lab, verb: tuple[str, ...]) -> None:
    said = one_line(refused(lab.host, *verb, prefix=NOBODY))
    assert f"sudo guestnet {verb[0]}" in said


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb[0])
def test_no_libvirtd(lab: Lab, verb: tuple[str, ...]) -> None:
    lab.host.libvirtd.stop()
    try:
        said = one_line(refused(lab.host, *verb))
    finally:
        lab.host.libvirtd.start()
    assert "libvirt does not answer" in said
    assert "systemctl start libvirtd" in said


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb[0])
def test_no_nft(lab: Lab, verb: tuple[str, ...]) -> None:
    hidden = ("unshare", "--mount", "sh", "-c", 'mount --bind /dev/null /usr/sbin/nft; exec "$@"', "sh")
    said = one_line(refused(lab.host, *verb, prefix=hidden))
    assert "apt install nftables" in said


@pytest.mark.parametrize("verb", VERBS[:3], ids=lambda verb: verb[0])
def test_no_file(lab: Lab, verb: tuple[str, ...]) -> None:
    assert "/nowhere.yaml" in one_line(refused(lab.host, *verb, "-f", "/nowhere.yaml"))
    assert "directory" in one_line(refused(lab.host, *verb, "-f", "/etc"))


def test_doctor_checks_a_host_that_has_no_file_yet(lab: Lab) -> None:
    """Which kinds of IPv6 guests can have there is to be known before the file is written."""
    lab.host.shell(f"mv {FILE} /root/aside")
    try:
        before = touched(lab.host)
        done = lab.host.guestnet("doctor")
        assert "there is no file /etc/guestnet/guestnet.yaml: the host alone is checked" in done.stderr
        assert "IPv6 for guests: NDP proxy: 2001:db8:1::2/64 on up0" in done.stdout
        assert "nothing is wrong" in done.stdout
        assert touched(lab.host) == before
        assert "there is no file" in one_line(refused(lab.host, "doctor", "--fix", "--yes"))
        assert "there is no file /nowhere" in one_line(refused(lab.host, "-f", "/nowhere", "doctor"))
        lab.host.run([GUESTNET, "-f", "/root/aside", "apply", "--yes"])
        assert "there is no file" in one_line(refused(lab.host, "doctor")), "with something of ours on the host"
    finally:
        lab.host.shell(f"mv /root/aside {FILE}")
        lab.host.run([GUESTNET, "destroy", "--yes"])


@pytest.mark.parametrize("verb", VERBS[:3], ids=lambda verb: verb[0])
def test_a_wrong_file(lab: Lab, verb: tuple[str, ...]) -> None:
    lab.host.write("/run/wrong.yaml", SEED.replace("192.168.84.10", "192.168.84.300").replace("forwards:", "forward:"))
    said = refused(lab.host, *verb, "-f", "/run/wrong.yaml").splitlines()
    lines = [SEED[: SEED.index(text)].count("\n") + 1 for text in ("192.168.84.10", "forwards:")]
    assert [int(line.split(":")[1]) for line in said[:2]] == lines
    assert said[-1] == "2 problems, nothing was touched"


def test_no_terminal_to_ask_at(lab: Lab) -> None:
    assert "--yes" in refused(lab.host, "apply").splitlines()[-1]


def test_a_network_of_somebody_else(lab: Lab) -> None:
    for name, bridge, subnet in (
        ("lab", "virbr9", "10.9.9"),
        ("other", "virbr84", "10.9.9"),
        ("x", "br9", "192.168.84"),
    ):
        ip = f"<ip address='{subnet}.1' netmask='255.255.255.0'/>"
        xml = f"<network><name>{name}</name><bridge name='{bridge}'/>{ip}</network>"
        lab.host.define_network(xml)
        said = refused(lab.host, "apply", "--yes")
        assert {"lab": "is not guestnet's", "other": "bridge virbr84", "x": "overlaps"}[name] in said
        lab.host.virsh("net-destroy", name)
        lab.host.virsh("net-undefine", name)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("nr_inodes=1", "/run/guestnet/apply.lock: No space left on device (make room there, then try again)"),
        ("ro", "/run/guestnet/apply.lock: Read-only file system (mount that read-write, then try again)"),
    ],
)
def test_the_remedy_is_that_of_the_trouble(lab: Lab, options: str, said: str) -> None:
    """Root is not told to be root."""
    lab.host.shell(f"mkdir -p /run/guestnet && mount -t tmpfs -o mode=755,{options} none /run/guestnet")
    try:
        assert one_line(refused(lab.host, "apply", "--yes")) == said
    finally:
        lab.host.shell("umount /run/guestnet")


def test_nothing_to_take_away(lab: Lab) -> None:
    """There is no file either that it could be compared with."""
    said = lab.host.guestnet("destroy", "-f", "/nowhere.yaml", "--yes").stdout
    assert said.splitlines()[-1] == "Nothing to do: nothing of guestnet is on this host."


def test_a_table_of_somebody_else(lab: Lab) -> None:
    lab.host.run(["nft", "add", "table", "inet", "guestnet"])
    assert "somebody else made" in refused(lab.host, "apply", "--yes")
    lab.host.run(["nft", "delete", "table", "inet", "guestnet"])


def test_wrong_usage(lab: Lab) -> None:
    for args in (("nonsense",), ("plan", "--nonsense"), ("--format", "xml", "plan"), ("render", "--only", "x")):
        done = lab.host.guestnet(*args, check=False)
        assert done.returncode == 64
        assert "Traceback" not in done.stderr
