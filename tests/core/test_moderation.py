"""What blocking an author goes by."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from afeed.core.item import UNKNOWN_AUTHOR, Author
from afeed.core.moderation import author_key, author_keys
from tests.web.samples import make_item


class AuthorKeyTests(SynchronousTestCase):
    def test_a_handle_counts_whatever_the_name_is_today(self) -> None:
        one, other = (
            Author(name="Ann", handle="Ann"),
            Author(name="Not Ann", handle="ann", url="https://x.com/a"),
        )
        self.assertEqual(author_key("x", one), author_key("x", other))
        self.assertNotEqual(author_key("x", one), author_key("flickr", one))

    def test_without_a_handle_it_is_the_address_and_then_the_name(self) -> None:
        self.assertEqual(
            author_key("push", Author(name="A", url="https://a.example")), "push:https://a.example"
        )
        self.assertEqual(author_key("push", Author(name="Ann  EXAMPLE")), "push:ann example")

    def test_nobody_is_not_blocked(self) -> None:
        self.assertIsNone(author_key("push", UNKNOWN_AUTHOR))
        self.assertEqual(author_keys(make_item(author=UNKNOWN_AUTHOR)), frozenset())

    def test_who_shares_an_item_brings_it_as_well(self) -> None:
        item = make_item(shared_by=Author(name="Ben", handle="ben"))
        self.assertEqual(author_keys(item), {"push:@ann", "push:@ben"})
