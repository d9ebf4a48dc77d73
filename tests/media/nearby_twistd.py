"""``twistd``, but pictures may be fetched from 127.0.0.1: tests keep theirs there.  Nothing of this is in
afeed."""

from __future__ import annotations

from afeed.core import networks

_is_public = networks.is_public


def _nearby(address: str) -> bool:
    return address == "127.0.0.1" or _is_public(address)


# Before anybody else imports it.
networks.is_public = _nearby

if __name__ == "__main__":
    from twisted.scripts.twistd import run

    run()
