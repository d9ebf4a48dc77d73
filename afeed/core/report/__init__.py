"""What was said at a talk or an event, counted.

A stream of items goes in, a :class:`~afeed.core.report.model.Report` comes out, in memory that does not grow
with the stream.
"""
