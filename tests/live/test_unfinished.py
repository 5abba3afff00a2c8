"""status and plan say what an apply has left open, and what to do: in text, and in JSON."""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest

from lab import Lab
from lab.host import GUESTNET, Host
from lab.process import wait_for
from tests.live.conftest import FILE, SEED, apply

pytestmark = pytest.mark.lab

JOURNAL = "/var/lib/guestnet/journal"
# All steps are done, and nothing is ended yet.
HELD = """
import sys, time, guestnet.act.apply as act
act._end = lambda *_, **__: (open("/run/held", "w").close(), time.sleep(120))
sys.argv = ["guestnet", "apply", "--yes", *sys.argv[1:]]
from guestnet.faces.cli import main; main()
"""


def unfinished(host: Host) -> list[dict[str, Any]]:
    data: dict[str, Any] = json.loads(host.guestnet("--format", "json", "status").stdout)
    found: list[dict[str, Any]] = data["unfinished"]
    return found


def line(host: Host) -> str:
    lines = host.guestnet("status").stdout.splitlines()
    return next((one for one in lines if one.startswith("unfinished")), "")


def held(host: Host, *options: str) -> Any:
    host.run(["rm", "-f", "/run/held"])
    process = host.popen([GUESTNET.parent / "python", "-c", HELD, *options])
    wait_for("the apply's last step", lambda: host.exists("/run/held"), timeout=30)
    return process


def test_an_apply_that_goes_on_is_cut_off_or_waits() -> None:
    with Lab() as lab:
        host = lab.host
        apply(host, SEED)
        assert unfinished(host) == []
        assert line(host) == ""
        host.write(FILE, SEED.replace("4023:22", "4999:22"))
        for options, seconds in (((), False), (("--confirm", "100"), True)):
            process = held(host, *options)
            (goes_on,) = unfinished(host)
            assert goes_on["state"] == "goes on"
            assert "is changing this host" in line(host)
            assert "cut off" not in host.guestnet("plan").stderr
            host.send_signal(process, signal.SIGKILL)
            process.wait()
            (cut,) = unfinished(host)
            assert cut["state"] == "cut off"
            assert (cut["seconds"] is not None) == seconds
            planned = host.guestnet("--format", "json", "plan", "--detailed-exitcode", check=False)
            data = json.loads(planned.stdout)
            assert (planned.returncode, data["changes"]) == (2, [])
            assert [one["state"] for one in data["unfinished"]] == ["cut off"]
            assert "Nothing to do" not in (shown := host.guestnet("plan").stdout)
            assert "The host is as the file says, but an apply was cut off" in shown
            assert "none: the host is as the file says, but an apply was cut off" in host.guestnet("status").stdout
            for said in (line(host), host.guestnet("plan").stderr):
                assert "an earlier apply was cut off (apply of 20" in said
                assert "guestnet rollback takes back what it had begun, and so does the next apply" in said
                assert ("or it undoes itself in " in said) == seconds
            host.guestnet("rollback", "--yes")
            assert unfinished(host) == []
            assert json.loads(host.guestnet("--format", "json", "plan").stdout)["unfinished"] == []
        host.write(JOURNAL, "garbage\n")
        assert "its journal is damaged: guestnet apply makes the host what the file says" in line(host)
        host.run(["rm", JOURNAL])
        host.guestnet("apply", "--yes", "--confirm", "100")
        assert host.guestnet("plan", "--detailed-exitcode").returncode == 0, "it is done, and only waits"
        assert "Nothing to do: the host is as the file says." in host.guestnet("plan").stdout
        (waits,) = unfinished(host)
        assert waits["state"] == "waits"
        assert 60 < waits["seconds"] <= 100
        assert "guestnet confirm keeps it, guestnet rollback undoes it" in line(host)
        host.guestnet("confirm")
        assert unfinished(host) == []
