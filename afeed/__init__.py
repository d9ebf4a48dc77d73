"""A self-hosted live feed for conferences and other events."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("afeed")
except PackageNotFoundError:  # running from a source tree that was never installed
    __version__ = "0"
