"""Keeps X's rules in step with what the events want."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.logger import Logger

from afeed.core.rules import TAG_PREFIX, plan
from afeed.sources.xapi import XApi

#: How often rules that X did not take are offered again (seconds): a cap may have room by then.
RETRY_REFUSED_S = 900.0


class RuleKeeper:
    """Synchronises afeed's rules.  ``refused`` holds X's reason by slug for the events whose rule is not in
    force."""

    log = Logger()

    def __init__(self, api: XApi) -> None:
        self.refused: dict[str, str] = {}
        self._api = api
        self._synced: dict[str, str] | None = None
        self._synced_at = 0.0
        self._in_force: dict[str, float] = {}

    def current(self, wanted: Mapping[str, str], now: float) -> bool:
        """Whether ``wanted`` (slug -> rule) is what was last synchronised, and nothing is left to try again."""
        if self._synced != wanted:
            return False
        return not self.refused or now - self._synced_at < RETRY_REFUSED_S

    def in_force(self) -> Mapping[str, float]:
        """The events whose rule X was last known to have, with the time since when (as given to
        :meth:`sync`)."""
        return self._in_force

    def forget(self) -> None:
        """X says something else than what was believed: synchronise again."""
        self._synced = None

    async def sync(self, wanted: Mapping[str, str], now: float) -> None:
        """Make X's rules those of ``wanted``; raises :class:`~afeed.sources.xapi.Refusal` when X does not
        answer as it should.  A rule that X does not take is kept in :attr:`refused` and does not stop the
        others."""
        wanted = dict(wanted)
        self._synced = None
        steps = plan(await self._api.rules(), wanted)
        await self._api.delete(steps.delete_first)
        added = await self._api.add(steps.add)
        await self._api.delete(steps.delete_after)
        refused = added.refused
        if added.capped and steps.delete_after:  # there is room now
            again = await self._api.add(added.capped)
            capped = {rule.tag for rule in added.capped}
            refused = {tag: why for tag, why in refused.items() if tag not in capped} | again.refused
        self._report({tag.removeprefix(TAG_PREFIX): why for tag, why in refused.items()})
        known = self._in_force
        self._in_force = {slug: known.get(slug, now) for slug in wanted if slug not in self.refused}
        self._synced, self._synced_at = wanted, now
        if steps:
            self.log.info(
                "X has the rules of {events} event(s): {added} added, {deleted} deleted, {refused} not taken",
                events=len(wanted),
                added=len(steps.add) - len(refused),
                deleted=len(steps.delete_first) + len(steps.delete_after),
                refused=len(refused),
            )

    def _report(self, refused: dict[str, str]) -> None:
        for slug, why in refused.items():
            if self.refused.get(slug) != why:
                self.log.error(
                    "X does not take the rule of event {slug}: {why}. Posts for it will be missing; correct "
                    "`rule` in the configuration and restart afeed",
                    slug=slug,
                    why=why,
                )
        self.refused = refused

    def described(self, wanted: Mapping[str, str]) -> dict[str, dict[str, Any]]:
        """The rule of each event and what has become of it, for a health check."""
        found = {}
        for slug, rule in wanted.items():
            why = self.refused.get(slug)
            known = self._synced is not None and self._synced.get(slug) == rule
            state = "refused" if why is not None else "active" if known else "pending"
            found[slug] = {"rule": rule, "state": state, "reason": why}
        return found
