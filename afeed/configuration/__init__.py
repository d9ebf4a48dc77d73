"""From a TOML file to :class:`afeed.settings.Settings`; :mod:`afeed.config` is the way in.

``document`` reads the file, ``positions`` knows the line of each key, ``table`` takes keys out of a table,
``values``, ``endpoints``, ``credentials`` and ``stores`` say what is right for one value each, ``events`` puts
events and their sources together, ``describe`` tells in words what would run.
"""
