"""Filing: every item under the talk that it is about.

``clerk`` files what comes in, as it comes, on every node; ``register`` puts later, better answers into the log,
and what organisers decide.  Of several nodes one tells of new schedules (``telling``), and files everything
again when the schedule has changed or somebody asks for it (``again``, by a process of its own, ``worker``).
What an item is about is decided in :mod:`afeed.core.attribution`.
"""
