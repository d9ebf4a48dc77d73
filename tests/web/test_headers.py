"""The headers that every answer carries."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from afeed.settings import Server
from afeed.web.headers import content_security_policy, security_headers, websocket_origin


def headers(**settings: object) -> dict[bytes, bytes]:
    return dict(security_headers(Server(**settings)))


def policy(**settings: object) -> dict[str, str]:
    directives = content_security_policy(Server(**settings)).split("; ")
    return dict(directive.split(" ", 1) for directive in directives)


class ContentSecurityPolicyTests(SynchronousTestCase):
    def test_nothing_is_allowed_that_is_not_named(self) -> None:
        self.assertEqual(policy()["default-src"], "'none'")

    def test_no_inline_script_or_style_and_no_eval(self) -> None:
        text = content_security_policy(Server())
        self.assertNotIn("unsafe", text)
        self.assertEqual(policy()["script-src"], "'self'")
        self.assertEqual(policy()["style-src"], "'self'")

    def test_items_bring_images_and_media_over_tls_only(self) -> None:
        found = policy(public_url="https://feed.example")
        self.assertEqual(found["img-src"], "'self' https:")
        self.assertEqual(found["media-src"], "'self' https:")

    def test_where_pictures_are_kept_nobody_else_is_asked_for_any(self) -> None:
        for url in ("https://feed.example", "http://127.0.0.1:8080"):
            text = content_security_policy(Server(public_url=url), keeps_media=True)
            found = dict(directive.split(" ", 1) for directive in text.split("; "))
            self.assertEqual((found["img-src"], found["media-src"]), ("'self'", "'self'"))

    def test_on_this_machine_alone_pictures_may_come_from_a_simulator_beside_it(self) -> None:
        self.assertEqual(
            policy(public_url="http://127.0.0.1:8080")["img-src"], "'self' https: http://127.0.0.1:*"
        )
        self.assertEqual(policy(public_url="http://feed.example")["img-src"], "'self' https:")

    def test_scripts_connect_to_this_server_and_its_websockets_only(self) -> None:
        found = policy(public_url="https://feed.example:8443")
        self.assertEqual(found["connect-src"], "'self' wss://feed.example:8443")

    def test_nobody_may_embed_the_pages(self) -> None:
        self.assertEqual(policy()["frame-ancestors"], "'none'")
        self.assertEqual(headers()[b"X-Frame-Options"], b"DENY")

    def test_named_sites_may_embed_the_pages(self) -> None:
        sites = ("https://a.example", "https://b.example")
        self.assertEqual(
            policy(frame_ancestors=sites)["frame-ancestors"], "https://a.example https://b.example"
        )
        self.assertNotIn(b"X-Frame-Options", headers(frame_ancestors=sites))

    def test_markup_cannot_move_the_base_or_send_forms_elsewhere(self) -> None:
        self.assertEqual(policy()["base-uri"], "'none'")
        self.assertEqual(policy()["form-action"], "'self'")


class OtherHeaderTests(SynchronousTestCase):
    def test_browsers_are_told_to_stay_with_tls_only_where_there_is_tls(self) -> None:
        self.assertIn(b"Strict-Transport-Security", headers(public_url="https://feed.example"))
        self.assertNotIn(b"Strict-Transport-Security", headers(public_url="http://127.0.0.1:8080"))

    def test_types_are_not_guessed_and_visits_not_told(self) -> None:
        self.assertEqual(headers()[b"X-Content-Type-Options"], b"nosniff")
        self.assertEqual(headers()[b"Referrer-Policy"], b"same-origin")

    def test_the_version_of_the_server_is_not_told(self) -> None:
        self.assertEqual(headers()[b"Server"], b"afeed")

    def test_no_value_can_break_out_of_its_line(self) -> None:
        for name, value in security_headers(Server(frame_ancestors=("https://a.example",))):
            self.assertNotIn(b"\n", name + value)
            self.assertNotIn(b"\r", name + value)


class WebSocketOriginTests(SynchronousTestCase):
    def test_it_follows_the_public_url(self) -> None:
        self.assertEqual(websocket_origin("http://127.0.0.1:8080"), "ws://127.0.0.1:8080")
        self.assertEqual(websocket_origin("https://feed.example/"), "wss://feed.example")
