"""Lets ``twistd`` and ``twist`` offer ``afeed``.  Nothing is imported until it is chosen."""

from twisted.application.service import ServiceMaker

afeed = ServiceMaker("afeed", "afeed.tap", "A live feed for conferences and other events.", "afeed")
