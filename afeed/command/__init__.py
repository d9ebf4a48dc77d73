"""The program ``afeed``: what an operator does beside running ``twistd afeed``.

Each command is a module with a :class:`~afeed.command.program.Command` of that name, listed in
:mod:`afeed.command.main`.
"""
