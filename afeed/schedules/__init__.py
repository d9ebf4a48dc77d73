"""Events' schedules from files and addresses: the I/O around :mod:`afeed.core.schedule`.

``keeper`` is the component, ``origin`` reads bytes, ``parsing`` has them understood by a process of its own
(``worker``), ``kept`` keeps the last good version on disk.
"""
