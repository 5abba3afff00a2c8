"""For guests without an agent, and for those that have no gai.conf: texts to use by hand. Pure.

netsh: https://learn.microsoft.com/en-us/windows-server/administration/windows-commands/netsh-interface-ipv6
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv6Network

from guestnet.decide.prefer.block import BEGIN, END, block

# Windows' own table, RFC 6724's (section 2.1): (prefix, precedence, label). With a first row of somebody's the built-in
# ones are gone, so all are written.
_WINDOWS = (
    ("::1/128", 50, 0),
    ("::/0", 40, 1),
    ("::ffff:0:0/96", 35, 4),
    ("2002::/16", 30, 2),
    ("2001::/32", 5, 5),
    ("fc00::/7", 3, 13),
    ("fec0::/10", 1, 11),
    ("3ffe::/16", 1, 12),
    ("::/96", 1, 3),
)


def file(prefixes: Sequence[IPv6Network]) -> str:
    """The whole of /etc/gai.conf, for a guest that has none of its own."""
    return block(prefixes).decode()


def cloud_init(prefixes: Sequence[IPv6Network]) -> str:
    """User data; cloud-init puts the file in place of one that is there."""
    content = "".join(f"      {line}\n" for line in file(prefixes).splitlines())
    head = '#cloud-config\nwrite_files:\n  - path: /etc/gai.conf\n    permissions: "0644"\n    content: |\n'
    return head + content


def shell(guest: str, prefixes: Sequence[IPv6Network], name: str) -> str:
    """A script for root in the guest: what is in the file stays, and it is put in place whole. It may be run again."""
    begin, end = BEGIN.decode(), END.decode()
    rows = ", ".join(f"label {prefix} 1" for prefix in prefixes)
    return f"""#!/bin/sh
# As root in {guest}: IPv6 first (guestnet prefer-ipv6 {guest} --print shell).
set -eu
conf=/etc/gai.conf new=/etc/.gai.conf.guestnet-new old=/etc/.gai.conf.guestnet-old
trap 'rm -f "$new" "$old"' EXIT
: >"$old"
[ ! -e "$conf" ] || sed '/^{begin}/,/^{end}/d' "$conf" >"$old"
if grep -Eq '^[[:space:]]*label[[:space:]]' "$old"; then
    echo "$conf has label lines of its own, which are the whole table: add only: {rows}" >&2
    exit 1
fi
cat >"$new" <<'END'
{file(prefixes)}END
cat "$old" >>"$new"
chmod 644 "$new"
sync
mv -f "$new" "$conf"
getent ahosts {name}
"""


def netsh(prefixes: Sequence[IPv6Network]) -> str:
    """For an administrator's prompt in Windows: the table with our prefixes, labelled and preceding as global ones."""
    rows = [*((str(prefix), 45, 1) for prefix in prefixes), *_WINDOWS]
    lines = [
        f"netsh interface ipv6 add prefixpolicy prefix={prefix} precedence={precedence} label={label} store=persistent"
        for prefix, precedence, label in rows
    ]
    return "\n".join([*lines, "netsh interface ipv6 show prefixpolicies"]) + "\n"
