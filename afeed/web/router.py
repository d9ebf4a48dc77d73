"""What afeed's routers have in common."""

from __future__ import annotations

from klein import Klein


def strict_router() -> Klein:
    """A router without routes, for which every address is spelt in one way: a request for //example.com is not
    sent there."""
    router = Klein()
    router.url_map.merge_slashes = False
    router.url_map.strict_slashes = False
    return router
