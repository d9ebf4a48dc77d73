"""The organisers' pages behind the front door, without a network."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from twisted.web.server import Site

from afeed.archive.forgetting import Request
from afeed.core.health import Check
from afeed.core.http import Names
from afeed.organisers.blocks import Blocks
from afeed.organisers.desk import Desk
from afeed.organisers.filtering import Filtering, Rules
from afeed.organisers.moderation import Moderation
from afeed.settings import Organiser, Secret, Server
from afeed.web.admin import Admin, is_admin
from afeed.web.admin_filing import FilePages
from afeed.web.admin_forget import ForgetPages
from afeed.web.admin_guard import Guard
from afeed.web.admin_held import HeldPages
from afeed.web.admin_pages import AdminRenderer, Overview
from afeed.web.assets import packaged
from afeed.web.bridge import hand_over
from afeed.web.exchange import Exchange
from afeed.web.fragments import Fragments
from afeed.web.headers import security_headers
from tests.organisers.memory import MemoryFilterStore, MemoryModerationStore
from tests.organisers.test_desk import HASH, PASSWORD, MemorySignIns, at_once
from tests.web.samples import make_event
from tests.web.serving import SERVER, Answer, House

ADDRESS = "192.0.2.7"
_TOKEN = re.compile(r'name="token" value="([0-9a-f]+)"')
#: Read once for all tests.
_ASSETS = packaged()


class FakeForgetting:
    """Remembers what it is asked for, and does nothing."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str, str]] = []
        self.requests: list[Request] = []
        self.store = self

    async def ask(self, scope: str, key: str, account: str, address: str) -> list[Request]:
        self.asked.append((scope, key, account, address))
        number = len(self.requests) + 1
        at = "2026-11-22T12:00:00.000Z"
        self.requests.append(Request(number, "e", b"h" * 16, at, account, "waiting", 0, None, 0, 0, 0, None))
        return self.requests[-1:]

    async def last(self, event: str, limit: int) -> list[Request]:
        return self.requests[::-1][:limit]


def no_files(slug: str) -> bool:
    return False


class AdminHouse(House):
    """A house whose organiser is ``ann``; its event is ``e``."""

    def __init__(self, server: Server = SERVER) -> None:
        self.kept: Any = MemorySignIns()
        self.known = Overview(checks=(), sources=frozenset(), viewers={}, last_items={})
        super().__init__(server=server, pages=self._show)
        ann = Organiser(name="ann", password_hash=Secret(HASH))
        desk = Desk([ann], self.kept, at_once, lambda: self.now, self.metrics.signed_in)
        self.store = MemoryModerationStore()
        store: Any = self.store
        blocks = Blocks()
        self.moderation = Moderation(
            store, blocks, self.log, self.hub, self.hub.channels, self.clock, lambda: self.now
        )
        event = make_event("e", name="Event <E>")
        self.rules = Rules([event], lambda: self.now)
        filters: Any = MemoryFilterStore(self.store)
        self.filtering = Filtering(self.rules, blocks, filters, store, self.log, self.clock, lambda: self.now)
        fragments = Fragments()
        #: Who was to be forgotten: scope, author, account, address.
        self.forgetting = FakeForgetting()
        forgetting: Any = self.forgetting
        files = self.file_pages(fragments)
        admin = Admin(
            desk,
            Guard(Names(server.public_url), secure=server.public_url.startswith("https:")),
            self.moderation,
            self.hub,
            AdminRenderer(
                _ASSETS, (event,), lambda: self.now, lambda event: fragments, files.files if files else no_files
            ),
            (event,),
            lambda: self.known,
            HeldPages(self.filtering, self.moderation, lambda: self.now, lambda event: fragments),
            security_headers(server),
            ForgetPages(forgetting, self.moderation),
            files,
        )
        self.site = Site(admin.resource())
        self.origin = server.public_url

    def file_pages(self, fragments: Fragments) -> FilePages | None:
        """The pages on which items are filed; none, where nothing is."""
        return None

    def _show(self, exchange: Exchange) -> None:
        if is_admin(exchange.path):
            hand_over(exchange, self.site)
        else:
            self._no_page(exchange)

    def check(self, name: str, state: Any = "ok", detail: str = "Fine.", **data: Any) -> Check:
        return Check(name=name, state=state, detail=detail, data=data)


class Browser:
    """Keeps cookies and follows where it is sent."""

    def __init__(self, house: AdminHouse, address: str = ADDRESS) -> None:
        self.house = house
        self.address = address
        self.cookies: dict[str, str] = {}
        self.set_cookie = ""

    def get(self, path: str, *headers: str) -> Answer:
        return self._noted(self.house.ask(path, *self._headers(), *headers, peer=self.address))

    def post(
        self,
        path: str,
        fields: Mapping[str, str],
        *headers: str,
        origin: str | None = None,
        follow: bool = True,
    ) -> Answer:
        """Send a form as our page would; ``origin`` "" sends none."""
        origin = self.house.origin if origin is None else origin
        sent = [*self._headers(), *headers]
        if not any(header.lower().startswith("content-type") for header in headers):
            sent.append("Content-Type: application/x-www-form-urlencoded")
        if origin:
            sent.append(f"Origin: {origin}")
        answer = self._noted(
            self.house.ask(path, *sent, method="POST", body=urlencode(fields).encode(), peer=self.address)
        )
        if follow and answer.status == 303:
            return self.get(answer.headers["location"])
        return answer

    def sign_in(self, name: str = "ann", password: str = PASSWORD) -> Answer:
        return self.post("/admin/sign-in", {"name": name, "password": password})

    def press(self, path: str, **fields: str) -> Answer:
        """Press a button of a page."""
        return self.post(path, {**fields, "token": self.token()})

    def token(self) -> str:
        found = _TOKEN.search(self.get("/admin").body.decode())
        assert found is not None, "nobody is signed in"
        return found[1]

    def _headers(self) -> list[str]:
        if not self.cookies:
            return []
        return ["Cookie: " + "; ".join(f"{name}={value}" for name, value in self.cookies.items())]

    def _noted(self, answer: Answer) -> Answer:
        self.set_cookie = answer.headers.get("set-cookie", "")
        name, _, value = self.set_cookie.partition(";")[0].partition("=")
        if value:
            self.cookies[name] = value
        else:
            self.cookies.pop(name, None)
        return answer
