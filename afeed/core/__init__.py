"""The pure core: values, parsers, state machines and policies without I/O.

Nothing below this package imports Twisted, Klein or SQLAlchemy; ``tests/test_architecture.py`` holds it to
that.
"""
