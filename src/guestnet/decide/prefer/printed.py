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
    """A script for root in the guest: what is in the file stays, and it is put in place whole, or left as it is with a
    reason. It may be run again. No shell works out what glibc would make of lines of the guest's own, so of those that
    could keep IPv4 first it refuses all."""
    begin, end = BEGIN.decode(), END.decode()
    rows = ", ".join(f"label {prefix} 1" for prefix in prefixes)
    return f"""#!/bin/sh
# As root in {guest}: IPv6 first (guestnet prefer-ipv6 {guest} --print shell).
set -eu
umask 077
export LC_ALL=C
conf=/etc/gai.conf new=/etc/.gai.conf.guestnet-new old=/etc/.gai.conf.guestnet-old was=/etc/.gai.conf.guestnet-was
rm -f "$new" "$old" "$was"
trap 'rm -f "$new" "$old" "$was"' EXIT
refuse() {{ echo "$conf $1; it is as it was" >&2; exit 1; }}
[ ! -L "$conf" ] || refuse "is a link: something else makes that file"
[ ! -e "$conf" ] || [ -f "$conf" ] || refuse "is no file"
: >"$old"
if [ -e "$conf" ]; then
    marks=$(sed -n -e 's/^{begin}.*/b/p' -e 's/^{end}.*/e/p' "$conf" | tr -d '\n' | sed 's/be//g')
    [ -z "$marks" ] || refuse "has a mark of guestnet's that stands alone: take out what guestnet wrote by hand"
    cp -p "$conf" "$was"
    cp -p "$conf" "$new"
    sed '/^{begin}/,/^{end}/d' "$conf" >"$old"
else
    : >"$new"
    chmod 644 "$new"
fi
if grep -Eq '^[[:space:]]*label[[:space:]]' "$old"; then
    refuse "has label lines of its own, which are the whole table: add only: {rows}"
fi
if grep -Eq '^[[:space:]]*precedence[[:space:]]' "$old"; then
    refuse "has precedence lines of its own, which may keep IPv4 first: take them out"
fi
cat >"$new" <<'END'
{file(prefixes)}END
cat "$old" >>"$new"
sync
mv -f "$new" "$conf"
got=$(getent ahosts {name}) || :
echo "$got"
case ${{got%% *}} in
*:*) ;;
?*) if [ -e "$was" ]; then mv -f "$was" "$conf"; else rm -f "$conf"; fi
    refuse "would leave IPv4 first for {name} all the same" ;;
*)  echo "$conf is written; {name} has no address here to see it by" >&2
    exit 1 ;;
esac
"""


def netsh(prefixes: Sequence[IPv6Network]) -> str:
    """For an administrator's prompt in Windows: the table with our prefixes, labelled and preceding as global ones."""
    rows = [*((str(prefix), 45, 1) for prefix in prefixes), *_WINDOWS]
    lines = [
        f"netsh interface ipv6 add prefixpolicy prefix={prefix} precedence={precedence} label={label} store=persistent"
        for prefix, precedence, label in rows
    ]
    return "\n".join([*lines, "netsh interface ipv6 show prefixpolicies"]) + "\n"
