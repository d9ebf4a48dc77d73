"""Which addresses belong to the public internet.

What strangers post says where afeed fetches pictures from, so everything else is out of bounds: this machine,
its network, and the addresses at which clouds tell a machine its secrets.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

#: IANA's special-purpose registry for IPv4 (RFC 6890 and later), multicast, and the address at which Azure
#: answers its virtual machines.
_NOT_PUBLIC_4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "168.63.129.16/32",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/3",
        ),
    )
)

#: Of IPv6 only what is handed out for the internet, without the parts of it that are for protocols (Teredo
#: among them) and for examples.
_GLOBAL_6 = IPv6Network("2000::/3")
_NOT_PUBLIC_6 = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "3fff::/20")))

#: Where an IPv6 address stands for an IPv4 address that is in it: the network, and how many bits follow.
_EMBEDDING = (
    (IPv6Network("::ffff:0:0/96"), 0),  # mapped (RFC 4291)
    (IPv6Network("64:ff9b::/96"), 0),  # NAT64 (RFC 6052)
    (IPv6Network("2002::/16"), 80),  # 6to4 (RFC 3056)
)


def is_public(text: str) -> bool:
    """Whether ``text`` is an address of the public internet; a name or anything else is not."""
    try:
        # A zone (fe80::1%eth0) belongs to a link.
        address: IPv4Address | IPv6Address = ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return False
        embedded = next((shift for network, shift in _EMBEDDING if address in network), None)
        if embedded is None:
            return address in _GLOBAL_6 and not any(address in network for network in _NOT_PUBLIC_6)
        address = IPv4Address(int(address) >> embedded & 0xFFFFFFFF)
    return not any(address in network for network in _NOT_PUBLIC_4)
