"""Which terms stand out: more frequent here than elsewhere, and not by chance.

The measure is the log-likelihood ratio G² (T. Dunning, Accurate Methods for the Statistics of Surprise and
Coincidence, Computational Linguistics 19, 1993), which unlike a ratio or tf-idf does not prefer what is merely
rare; the bound is that of Rayson and Garside (Comparing Corpora using Frequency Profiling, 2000).  What is
counted are posts that have a term.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import log

import msgspec

from afeed.core.report.counting import Top

#: The 99 percent point of chi-square with one degree of freedom: a difference that is seen by chance once in a
#: hundred times.
SIGNIFICANT = 6.63


class Reference(msgspec.Struct, frozen=True):
    """How many of so many ``posts`` have each of the most frequent terms."""

    posts: int
    counts: dict[str, int]


class Term(msgspec.Struct, frozen=True):
    """A term in ``posts`` posts here and in ``elsewhere`` of the others; ``score`` is its G², 0 where it was
    compared with nothing."""

    text: str
    posts: int
    elsewhere: int = 0
    score: float = 0.0


def log_likelihood(here: int, of_here: int, there: int, of_there: int) -> float:
    """G² of a term that ``here`` of ``of_here`` posts have, and ``there`` of ``of_there`` others."""
    total = of_here + of_there
    with_term = here + there
    g = 0.0
    for seen, row, column in (
        (here, of_here, with_term),
        (of_here - here, of_here, total - with_term),
        (there, of_there, with_term),
        (of_there - there, of_there, total - with_term),
    ):
        if seen > 0 and row > 0 and column > 0:
            g += seen * log(seen * total / (row * column))
    return 2 * g


def standing_out(
    here: Mapping[str, int], of_here: int, there: Mapping[str, int], of_there: int, least: int = 2
) -> list[Term]:
    """The terms that are significantly more frequent here than there and in ``least`` posts at least, those
    that stand out most first."""
    found = []
    for text, posts in here.items():
        if posts < least:
            continue
        elsewhere = there.get(text, 0)
        if posts * of_there <= elsewhere * of_here:
            continue
        score = log_likelihood(posts, of_here, elsewhere, of_there)
        if score >= SIGNIFICANT:
            found.append(Term(text, posts, elsewhere, round(score, 2)))
    found.sort(key=lambda term: (-term.score, -term.posts, term.text))
    return found


def most_frequent(here: Mapping[str, int], least: int = 2) -> list[Term]:
    """The same where there is nothing to compare with."""
    found = [Term(text, posts) for text, posts in here.items() if posts >= least]
    found.sort(key=lambda term: (-term.posts, term.text))
    return found


def shared(top: Top[None]) -> dict[str, int]:
    """The counts of the terms that more than one author used."""
    return {text: entry.count for text, entry in top if entry.several}
