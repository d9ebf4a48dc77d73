"""An event's programme: from the bytes of an export to a :class:`~afeed.core.schedule.model.Schedule`.  Pure.

``reading`` is the way in; ``frab`` reads schedule.xml, ``voc`` schedule.json, ``ical`` iCalendar, ``table``
the small TOML form; ``collector`` checks what they found and puts it together; ``difference`` compares two
versions.
"""
