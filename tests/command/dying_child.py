"""``afeed``, dying in the middle: run as ``python dying_child.py MOMENT ARGUMENT...``.

``filling``: while it fills the archive; ``filled``: once that is done; ``log``: once the live log has been
filled as well; ``positions``: once it was given the positions of sources.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from afeed.archive.bulk import Filling
from afeed.command import restore
from afeed.command.main import script


def die(*arguments: Any, **more: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def main(moment: str) -> None:
    if moment == "filling":
        Filling.add = die  # type: ignore[method-assign]
    elif moment == "filled":
        restore._fill_log = die
    elif moment == "log":
        real = restore._filled

        async def filled(*arguments: Any) -> None:
            await real(*arguments)
            die()

        restore._filled = filled
    elif moment == "positions":
        restore.finish = die
    else:
        raise ValueError(moment)
    script()


if __name__ == "__main__":
    main(sys.argv.pop(1))
