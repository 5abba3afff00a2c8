"""The firewall table on the kernels of the releases that are supported, not on the one that happens to run here."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import CommandError
from lab.kernel import Release
from lab.nested import Nested

pytestmark = pytest.mark.lab


@pytest.mark.xfail(
    raises=CommandError,
    strict=True,
    reason="6.1 takes no map as the set of a match; 6.12 refuses nft 1.0.6's inet_proto in interval maps",
)
@pytest.mark.parametrize("kernel", ["bookworm", "trixie"])
def test_the_kernel_takes_the_table(kernel: Release, repo: Path) -> None:
    table = (repo / "tests/golden/040-forwards/firewall.nft").read_text()
    with Nested(kernel=kernel, libvirtd=False) as machine:
        machine.run(["nft", "-c", "-f", "/dev/stdin"], input=table)
