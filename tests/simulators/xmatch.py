"""The part of X's rule grammar that events use: what a rule matches, and which rules are not valid."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

Test = Callable[[Mapping[str, Any]], bool]

_TOKEN = re.compile(r'\s*(?:(?P<open>\()|(?P<close>\))|(?P<term>-?(?:[a-z_]+:)?"[^"]*"|[^\s()"]+))')
#: Operators that need a term beside them that can stand alone (X API docs: *Build a rule*).
_MODIFIERS = ("is:", "has:", "lang:", "sample:")
_STANDALONE = ("from:", "to:", "url:", "conversation_id:")
MAX_RULE = 1024


class InvalidRule(Exception):
    """Why X would not take the rule."""


class Matcher:
    """A rule, parsed: ``matches(facts)`` and ``words``, which a post needs to match it.

    ``facts`` of a post: ``text``, ``hashtags`` and ``mentions`` (lower case, without signs), ``username``,
    ``lang``, ``is`` (of ``retweet``, ``reply``, ``quote``) and ``has`` (of ``hashtags``, ``links``, ``media``,
    ...).
    """

    def __init__(self, rule: str) -> None:
        if not rule.strip():
            raise InvalidRule("a rule cannot be empty")
        if len(rule) > MAX_RULE:
            raise InvalidRule(f"a rule cannot be longer than {MAX_RULE} characters")
        self._tokens = self._split(rule)
        self._at = 0
        self._standalone = False
        self.matches, self.words = self._either()
        if self._at < len(self._tokens):
            raise InvalidRule(f"unexpected {self._tokens[self._at]!r}")
        if not self._standalone:
            raise InvalidRule("the rule needs a term that can stand alone")

    @staticmethod
    def _split(rule: str) -> list[str]:
        tokens, end = [], 0
        while end < len(rule.rstrip()):
            match = _TOKEN.match(rule, end)
            if match is None:
                raise InvalidRule(f"no viable alternative at {rule[end : end + 10]!r}")
            tokens.append(match[0].strip())
            end = match.end()
        return tokens

    def _next(self) -> str | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _either(self) -> tuple[Test, list[str]]:
        tests, words = [], None
        while True:
            test, these = self._all()
            tests.append(test)
            words = these if words is None else words
            if self._next() != "OR":
                break
            self._at += 1
        return lambda facts: any(test(facts) for test in tests), words or []

    def _all(self) -> tuple[Test, list[str]]:
        tests: list[Test] = []
        words: list[str] = []
        while (token := self._next()) not in (None, ")", "OR"):
            assert token is not None
            self._at += 1
            if token == "(":
                test, these = self._either()
                if self._next() != ")":
                    raise InvalidRule("missing ) in the rule")
                self._at += 1
            elif token == "-(" or token == "-":
                raise InvalidRule("a group cannot be negated")
            else:
                test, these = self._term(token)
            tests.append(test)
            words += these
        if not tests:
            raise InvalidRule("something is missing beside OR or between parentheses")
        return lambda facts: all(test(facts) for test in tests), words

    def _term(self, token: str) -> tuple[Test, list[str]]:
        negated = token.startswith("-")
        term = token[1:] if negated else token
        test = self._positive(term)
        if negated:
            return lambda facts: not test(facts), []
        if not term.startswith(_MODIFIERS):
            self._standalone = True
            return test, [term.strip('"')] if ":" not in term else []
        return test, []

    def _positive(self, term: str) -> Test:
        name, colon, value = term.partition(":")
        value = value.strip('"').lower()
        if colon and name in ("is", "has"):
            return lambda facts: value in facts[name]
        if colon and name == "lang":
            return lambda facts: facts["lang"] == value
        if colon and name == "from":
            return lambda facts: facts["username"].lower() == value.lstrip("@")
        if colon and term.startswith(_STANDALONE):
            return lambda facts: value in facts["text"].lower()
        if colon and not term.startswith('"'):
            raise InvalidRule(f"Reference to invalid operator '{name}'")
        if term.startswith("#"):
            return lambda facts: term[1:].lower() in facts["hashtags"]
        if term.startswith("@"):
            return lambda facts: term[1:].lower() in facts["mentions"]
        words = re.compile(r"(?<!\w)" + re.escape(term.strip('"').lower()) + r"(?!\w)")
        return lambda facts: words.search(facts["text"].lower()) is not None


@lru_cache(maxsize=1024)
def matcher(rule: str) -> Matcher:
    """The matcher of ``rule``; raises :class:`InvalidRule`."""
    return Matcher(rule)
