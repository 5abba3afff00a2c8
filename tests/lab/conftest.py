"""The lab that the tests of a module share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab import Lab

NETWORK = """
<network><name>default</name><bridge name='virbr0' stp='off'/><forward mode='nat'><nat ipv6='yes'/></forward>
<ip address='192.168.122.1' prefix='24'><dhcp><range start='192.168.122.2' end='192.168.122.254'/></dhcp></ip>
<ip family='ipv6' address='fd00:122::1' prefix='64'><dhcp><range start='fd00:122::10' end='fd00:122::ff'/></dhcp></ip>
</network>
"""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """A static dual stack uplink, libvirtd, and the NAT network `default` on virbr0."""
    with Lab() as made:
        made.host.define_network(NETWORK)
        yield made
