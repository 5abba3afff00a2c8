"""Everything of a lab's host that guestnet touches, as text: two of them are equal when the host is the same again."""

from __future__ import annotations

from lab.host import Host

# Not: the way back and what waits for a confirmation, which tell of the last apply and are not what it made; logs and
# locks, and marks of hooks that ran; chains of libvirt's own, which stay once they are made; what libvirt writes for
# its dnsmasq, and the networks' UUIDs in its files.
_SCRIPT = r"""
find /etc/guestnet /etc/libvirt /etc/sysctl.d /etc/systemd/system /etc/fish /usr/local/bin /usr/local/share \
    /var/lib/guestnet /var/lib/libvirt/dnsmasq -printf '%p %y %m %l\n' 2>/dev/null |
  grep -v -E '^/etc/guestnet(/guestnet.yaml)? |^/var/lib/guestnet/(rollback|confirm.json|[^/]*[.]damaged) ' |
  grep -v -E '^/etc/libvirt/qemu/|/of-the-lab|/.journal.guestnet-new |[.](status|leases|pid|macs) f ' |
  grep -v -E '^/var/lib/libvirt/dnsmasq/[^ ]*([.]conf|hostsfile) f ' |
  sort > /run/lab/snapshot
cat /run/lab/snapshot; find /etc/libvirt/qemu -type f -o -type l | sort
sed -n 's/ f [0-7]* $//p' /run/lab/snapshot | xargs -d '\n' sha256sum
ls -A /run/guestnet 2>/dev/null | grep -v -E '^([a-z]*[.]lock|busy[.].*|restored[.].*|confirmed)$'
# iptables has its tables in nft, too.
nft list tables | grep -v -E ' (filter|nat|mangle|raw|security)$' | sort | while read -r _ family name; do
  nft -s list table $family $name
done
for program in iptables ip6tables; do
  # Tables without anything come with libvirt's first network, and stay.
  $program-save | awk '/^[*]/ {table = $1} /^-A|^:.* (DROP|-)/ {print table, $0}' | grep -v LIBVIRT |
    sed 's/ \[[0-9:]*\]$//'
  $program-save | grep -e '^-A LIBVIRT' | sort
done
cd /sys/class/net
grep -H . */mtu */ifalias */bridge/stp_state | grep -v -E '^(vnet|f-)'
for bridge in */bridge; do grep -H . ${bridge%/bridge}/address; done
ls -l */master | sed 's/.* \([^ ]*\/master\)/\1/' | grep -v -E '^(vnet|f-)'
ip -o addr | awk '{print $2, $4}' | grep -v -E ' fe80:|^(vnet|f-)' | sort
(ip route show table all; ip -6 route show table all) |
  grep -v -E '^([a-z]+ )?(fe80|ff00):| table local| dev (vnet|f-)' |
  sed 's/ expires [0-9]*sec//; s/ linkdown//; s/ pref medium//' | sort
ip rule; ip -6 rule
ip neigh show proxy; ip -6 neigh show proxy
tc qdisc show | grep -v -E ' dev (vnet|f-)' | sort
networks=$(virsh -q net-list --all --name)
for net in $networks; do
  echo "net-dumpxml --inactive $net; net-info $net; net-dumpxml $net; net-port-list $net;"
done | virsh -q 2>&1 | grep -v -E 'UUID:|<uuid>' | sed "s/ connections='[0-9]*'//"
for net in $networks; do
  pid=/run/libvirt/network/$net.pid
  [ ! -e $pid ] || [ -e /proc/$(cat $pid) ] || echo "the dnsmasq of $net is gone"
done
cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding
cd /proc/sys/net
grep -H . ipv6/conf/up0/accept_ra ipv4/conf/*/route_localnet ipv4/conf/*/proxy_arp ipv6/conf/*/proxy_ndp \
  ipv6/conf/*/disable_ipv6 | grep -v -e vnet -e /f-
"""


def snapshot(host: Host) -> str:
    """Without the file, which is its writer's."""
    return host.run(["sh", "-c", _SCRIPT]).stdout
