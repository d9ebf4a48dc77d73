"""What goes out of afeed in other programs' formats.

The writers are pure: items in, bytes out, one at a time, so that a million need no more memory than one.
"""
