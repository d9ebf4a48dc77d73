"""How long somebody who guesses passwords waits: pure rules.

What is counted are failures with one account from one network, so that whoever guesses is slowed down and the
account's owner, who is somewhere else or signed in already, is not.
"""

from __future__ import annotations

from hashlib import blake2b
from ipaddress import IPv6Address, ip_address, ip_network
from typing import NamedTuple

#: So many failures cost nothing; the next wait is the least and doubles with each further failure up to the
#: most, in seconds.
FREE, LEAST_S, MOST_S = 5, 5, 300
#: After so many seconds without an attempt the failures are forgotten.
FORGET_S = 24 * 3600


class Attempts(NamedTuple):
    """How often it failed, when it was tried last, and from when on it may be tried; seconds since 1970."""

    failures: int
    last_at: int
    next_at: int


NONE = Attempts(0, 0, 0)


def attempt(found: Attempts, now: int) -> tuple[int, Attempts]:
    """Try once: how many seconds to wait instead (0: go on), and what to remember.

    An attempt counts as failed from the beginning, so that many at once are no way around; success forgets
    all of them.  One that has to wait counts for nothing.
    """
    if now < found.next_at:
        return found.next_at - now, found
    failures = 1 if now - found.last_at > FORGET_S else found.failures + 1
    pause = 0 if failures < FREE else min(MOST_S, LEAST_S << min(failures - FREE, 16))
    return 0, Attempts(failures, now, now + pause)


def network_of(address: str) -> str:
    """Whom ``address`` stands for: an IPv6 customer has at least a /64 to choose addresses from."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if isinstance(found, IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ip_network((found, 64), strict=False).network_address)
    return str(found)


def attempts_key(account: str, address: str) -> bytes:
    """What failures are counted under.  Of the account there is one byte in it: names that are made up fill no
    table, and one that exists is treated as one that does not."""
    bucket = blake2b(account.encode("utf-8", "surrogatepass"), digest_size=1).hexdigest()
    return blake2b(f"{bucket} {network_of(address)}".encode(), digest_size=16).digest()


def known_browser_key(account: str, id_hash: bytes) -> bytes:
    """The same for a browser in which the account was signed in before: what strangers at its address do does
    not keep it waiting."""
    return blake2b(account.encode() + b" " + id_hash, digest_size=16).digest()
