"""guestnet.service, as far as its text says it; what systemd makes of it is in tests/live/test_setup.py."""

from __future__ import annotations

from guestnet.compile import unit
from guestnet.decide.desired import HOOKS

TEXT = unit.text(HOOKS[0])
FIREWALLS = {
    f"{name}.service" for name in ("nftables", "iptables", "netfilter-persistent", "ufw", "firewalld", "docker")
}
LIBVIRT = {"libvirtd.service", "virtnetworkd.service"}


def value(key: str) -> str:
    """What the one line of this key says."""
    [found] = [line.partition("=")[2] for line in TEXT.splitlines() if line.startswith(f"{key}=")]
    return found


def test_it_follows_every_firewall_and_libvirt() -> None:
    for key in ("After", "PartOf", "ReloadPropagatedFrom"):
        assert set(value(key).split()) >= FIREWALLS | LIBVIRT, key


def test_whatever_it_is_part_of_brings_it_back() -> None:
    """PartOf stops it when one of them is stopped."""
    assert set(value("WantedBy").split()) == {*value("PartOf").split(), "multi-user.target"}


def test_start_and_reload_run_the_hook_with_an_operation_that_is_not_libvirts() -> None:
    assert value("ExecStart") == value("ExecReload") == "/etc/libvirt/hooks/qemu.d/50-guestnet - rules"


def test_it_stays_active_so_that_it_hears_of_reloads() -> None:
    assert value("Type") == "oneshot"
    assert value("RemainAfterExit") == "yes"
    assert "Condition" not in TEXT
    assert int(value("TimeoutStartSec")) > 10, "longer than the hook gives itself"
    assert value("StartLimitIntervalSec") == "0", "each restart of another firewall starts it"
