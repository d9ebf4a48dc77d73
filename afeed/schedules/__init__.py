"""Events' schedules from files and addresses: the I/O around :mod:`afeed.core.schedule`.

``programme`` is what the rest of afeed sees, ``keeper`` the component behind it, ``origin`` reads bytes,
``parsing`` has them understood by a process of its own (``worker``), ``kept`` keeps the last good version on
disk.
"""
