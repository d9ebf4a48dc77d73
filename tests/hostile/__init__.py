"""Hostile input against a real ``twistd afeed``, and the table that says what becomes of each kind of it."""
