"""The collector of cyclic garbage, in a process that holds ten thousand connections.

By default every 700 new objects are looked through, and the whole heap again and again as viewers come: a pause
of tens of milliseconds while everybody waits for a change.  Hardly anything here is cyclic, so it pays to look
less often, and never again at what was there before the first viewer.
"""

from __future__ import annotations

import gc

#: New objects before the youngest are looked through, and how many such rounds before the older ones are.
THRESHOLDS = (20_000, 20, 50)


def settle() -> None:
    """To be called once, when everything has been started."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
