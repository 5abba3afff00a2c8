"""Everything of a lab's host that guestnet touches, as text: two of them are equal when the host is the same again."""

from __future__ import annotations

from lab.host import Host

# Not: the way back and what waits for a confirmation, which tell of the last apply and are not what it made; logs and
# locks; chains of libvirt's own, which stay once they are made.
_SCRIPT = r"""
for f in $(find /etc/guestnet /etc/libvirt /etc/sysctl.d /etc/systemd/system /usr/local/bin /var/lib/guestnet \
    /var/lib/libvirt/dnsmasq -type f 2>/dev/null | sort); do
  case $f in
    /etc/guestnet/*|/var/lib/guestnet/rollback|/var/lib/guestnet/confirm.json) ;;
    /var/lib/guestnet/*.damaged|*/of-the-lab*|*/.journal.guestnet-new) ;;  # the last goes with the next run
    *.status|*.leases|*.pid|*.macs) ;;
    /etc/libvirt/qemu/networks/*) echo "$f" ;;
    /var/lib/libvirt/dnsmasq/*.conf|/var/lib/libvirt/dnsmasq/*hostsfile) ;;
    *) echo "$f $(stat -c %a $f) $(sha256sum < $f)" ;;
  esac
done
find /etc/libvirt /etc/sysctl.d /var/lib/guestnet /var/lib/libvirt/dnsmasq \( -type d -o -type l \) 2>/dev/null | sort
nft -s list tables inet
nft -s list table inet guestnet 2>/dev/null
iptables -S | grep -v LIBVIRT; ip6tables -S | grep -v LIBVIRT
for link in $(ls /sys/class/net); do
  cd /sys/class/net/$link
  echo "$link $([ ! -e bridge ] || cat address) $(cat mtu) $(readlink master)"
done | grep -v -e '^vnet' -e '^f-'
ip -o addr | awk '{print $2, $4}' | grep -v -e ' fe80:' -e '^vnet' -e '^f-' | sort
for net in $(virsh -q net-list --all --name); do
  virsh net-dumpxml --inactive $net; virsh net-info $net | grep -v UUID
  virsh net-dumpxml $net | sed "s/ connections='[0-9]*'//"
done
cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding
cd /proc/sys/net
grep -H . ipv6/conf/up0/accept_ra ipv4/conf/*/route_localnet ipv4/conf/*/proxy_arp | grep -v -e vnet -e f-
"""


def snapshot(host: Host) -> str:
    # A network defined again has another UUID; that of libvirt is in its files of networks, too.
    lines = host.run(["sh", "-c", _SCRIPT]).stdout.splitlines()
    return "\n".join(line for line in lines if "<uuid>" not in line)
