"""Finding links, hashtags and mentions in plain text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from typing import Any

import yaml
from twisted.trial.unittest import SynchronousTestCase

from afeed.core.normalise.finder import find
from tests.core.normalise import corpus


def urls(text: str) -> list[str]:
    return [found.value for found in find(text) if found.kind == "url"]


def hashtags(text: str) -> list[str]:
    return [found.value for found in find(text) if found.kind == "hashtag"]


def mentions(text: str) -> list[str]:
    return [found.value for found in find(text) if found.kind == "mention"]


class UrlTests(SynchronousTestCase):
    def test_a_url_ends_before_punctuation(self) -> None:
        for mark in (".", ",", "!", "?", ";", ":", "'", '"', ")", "...", ").", "»"):
            with self.subTest(mark=mark):
                self.assertEqual(
                    urls(f"see https://conf.example.org/talk{mark} and on"), ["https://conf.example.org/talk"]
                )

    def test_parentheses_belong_to_a_url_only_in_pairs(self) -> None:
        self.assertEqual(urls("(at https://example.org/a_(b)_c)"), ["https://example.org/a_(b)_c"])
        self.assertEqual(urls("https://example.org/a_(b"), ["https://example.org/a_"])

    def test_query_and_fragment_are_part_of_a_url(self) -> None:
        self.assertEqual(urls("https://example.org/a?b=c&d=#e now"), ["https://example.org/a?b=c&d=#e"])

    def test_a_host_without_scheme_needs_a_well_known_domain(self) -> None:
        self.assertEqual(
            urls("conf.example.org and cafe.paris, not setup.py.txt or a.baz"),
            ["conf.example.org", "cafe.paris"],
        )

    def test_a_missing_blank_after_a_sentence_is_no_link(self) -> None:
        self.assertEqual(urls("That was the end.In the morning"), [])

    def test_hosts_of_other_scripts_need_a_scheme(self) -> None:
        self.assertEqual(urls("http://例え.com/x 例え.com"), ["http://例え.com/x"])

    def test_text_without_blanks_around_a_url_is_not_part_of_it(self) -> None:
        self.assertEqual(urls("発表はhttps://example.com/slides資料です"), ["https://example.com/slides"])

    def test_mail_addresses_and_impossible_hosts_are_no_links(self) -> None:
        self.assertEqual(urls("ann@example.com http://-a.com http://a_b.com http://a http://a..com"), [])

    def test_short_links_of_x_end_with_letters_and_digits(self) -> None:
        self.assertEqual(urls("https://t.co/Ab12's"), ["https://t.co/Ab12"])
        self.assertEqual(urls("https://t.co/" + "a" * 41), [])


class HashtagTests(SynchronousTestCase):
    def test_hashtags_of_any_script_are_found(self) -> None:
        self.assertEqual(
            hashtags("#aea ＃会議 #конференция #münchen #हिन्दी"),
            ["aea", "会議", "конференция", "münchen", "हिन्दी"],
        )

    def test_a_number_alone_is_no_hashtag(self) -> None:
        self.assertEqual(hashtags("#1 of #10 in room #42b"), ["42b"])

    def test_a_hashtag_begins_after_something_else(self) -> None:
        self.assertEqual(hashtags("a#b &#39; (#c) 🎉#d"), ["c", "d"])

    def test_a_fragment_of_a_url_is_no_hashtag(self) -> None:
        self.assertEqual(hashtags("https://example.org/#top"), [])


class MentionTests(SynchronousTestCase):
    def test_mentions_are_found_and_mail_addresses_are_not(self) -> None:
        self.assertEqual(mentions("@ann .@bo_b ann@example.com @ann@social.example"), ["ann", "bo_b"])

    def test_a_name_that_is_too_long_is_none(self) -> None:
        self.assertEqual(mentions("@" + "a" * 20 + " @" + "a" * 21), ["a" * 20])


class OrderTests(SynchronousTestCase):
    def test_what_is_found_comes_in_order_with_its_place(self) -> None:
        text = "@ann: #aea at https://example.org/@bo#c"
        found = find(text)
        self.assertEqual([one.kind for one in found], ["mention", "hashtag", "url"])
        for one in found:
            self.assertTrue(text[one.start : one.end].endswith(one.value))


#: Cases of the suite that do not hold, and why they need not.
KNOWN_DIFFERENCES = {
    "Extract domain followed by Japanese characters": "a host glued to Japanese text, itself with a Japanese "
    "top-level domain and no scheme: only hosts in Latin letters are recognised without a scheme",
    "DO NOT Autolink username over 20 characters": "the suite links the first 20 characters: somebody else",
}

_ANCHOR = re.compile(r"<a ([^>]*)>(.*?)</a>", re.DOTALL)


def suite(name: str) -> dict[str, list[dict[str, Any]]]:
    path = corpus.FOLDER / "twitter-text" / name
    return yaml.safe_load(path.read_bytes())["tests"] if path.exists() else {}


def extraction_cases() -> Iterator[tuple[str, str, list[object], list[object]]]:
    """(section and description, text, expected, found) of ``extract.yml``."""
    for section, cases in suite("extract.yml").items():
        kind = next((kind for kind in ("mention", "hashtag", "url") if kind in section), None)
        if kind is None:
            continue
        for case in cases:
            found = [one for one in find(case["text"]) if one.kind == kind]
            expected = case["expected"]
            if expected and isinstance(expected[0], dict):
                member = {"mention": "screen_name"}.get(kind, kind)
                # A list ("@ann/team") is a mention of its owner here.
                wanted = [
                    (one[member], one["indices"][0], one["indices"][1] - len(one.get("list_slug", "")))
                    for one in expected
                ]
                yield (
                    f"{section}: {case['description']}",
                    case["text"],
                    wanted,
                    [(one.value, one.start, one.end) for one in found],
                )
            else:
                yield f"{section}: {case['description']}", case["text"], expected, [one.value for one in found]


def autolink_cases() -> Iterator[tuple[str, str, list[object], list[object]]]:
    """The same for ``autolink.yml``, which links no URL without a scheme; the links of its expected HTML count,
    not their attributes."""
    for section, cases in suite("autolink.yml").items():
        if section in ("cashtags", "json"):
            continue
        for case in cases:
            wanted: list[object] = []
            for attributes, inner in _ANCHOR.findall(case["expected"]):
                words = unescape(inner)
                if "username" in attributes or "list-slug" in attributes:
                    wanted.append(("mention", words.partition("/")[0]))
                elif "hashtag" in attributes:
                    wanted.append(("hashtag", words[1:]))
                elif "cashtag" not in attributes:
                    wanted.append(("url", words))
            section_kinds = {
                "urls": {"url"},
                "hashtags": {"hashtag"},
                "usernames": {"mention"},
                "lists": {"mention"},
            }
            kinds = section_kinds.get(section, {"url", "hashtag", "mention"})
            found: list[object] = [
                (one.kind, one.value)
                for one in find(case["text"])
                if one.kind in kinds and (one.kind != "url" or "://" in one.value)
            ]
            yield f"{section}: {case['description']}", case["text"], wanted, found


def conformance() -> tuple[int, int, list[str]]:
    """How many cases of the suites there are, how many hold, and which do not."""
    cases = [*extraction_cases(), *autolink_cases()]
    failed = [name for name, _, wanted, found in cases if wanted != found]
    return len(cases), len(cases) - len(failed), failed


class ConformanceTests(SynchronousTestCase):
    def test_the_text_conformance_suites_hold_but_for_the_known_differences(self) -> None:
        _, _, failed = conformance()
        surprising = [name for name in failed if name.partition(": ")[2] not in KNOWN_DIFFERENCES]
        self.assertEqual(surprising, [])
