"""Invented photos and the search over them, as the Flickr simulator has them: without network or clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

import attrs

TITLES = (
    "Opening", "Hallway track", "The long queue for coffee", "Slide 42", "Somebody's dog", "Lights out",
    "Whiteboard after lunch", "Lanyards", "Applause", "The quiet room", "Last boat home", "Stickers",
)  # fmt: skip
OWNERS = (("Ann Example", "ann"), ("Бо Приклад", "bo"), ("例 太郎", ""), ("Dee", "dee"), ("Eli ✨", "eli"))
COLOURS = ("#1f2a44", "#2f6f8f", "#f7d9a8", "#e8735a", "#fff4e0", "#8fc9b4", "#f2b441", "#7d6ba8")


@attrs.define(kw_only=True)
class Photo:
    """A photo.  ``uploaded``, ``updated`` and ``indexed`` are Unix seconds: a search does not find it before
    ``indexed``.  ``extra`` overrides members of its JSON; a value of None removes one."""

    id: str
    title: str = "Opening"
    description: str = ""
    tags: tuple[str, ...] = ("aneventapart",)
    owner: str = "12345678@N00"
    owner_name: str = "Ann Example"
    path_alias: str | None = "ann"
    uploaded: int
    updated: int | None = None
    indexed: int | None = None
    licence: int = 4
    extra: Mapping[str, Any] = attrs.Factory(dict)


def invented(number: int, uploaded: int, tags: tuple[str, ...] = ("aneventapart",)) -> Photo:
    """Photo ``number`` of an endless series."""
    name, alias = OWNERS[number % len(OWNERS)]
    return Photo(
        id=str(52_980_000_000 + number),
        title=f"{TITLES[number % len(TITLES)]} ({number % 1000})",
        description='Seen at <a href="https://example.org/">the event</a>' if number % 3 == 0 else "",
        tags=tags,
        owner=f"{10_000_000 + number % len(OWNERS)}@N00",
        owner_name=name,
        path_alias=alias or None,
        uploaded=uploaded,
    )


def drawing(photo_id: str) -> bytes:
    """An SVG for a photo, always the same one for the same id."""
    rng = Random(photo_id)
    back, *others = rng.sample(COLOURS, 4)
    shapes = "".join(
        f'<circle cx="{rng.randrange(1200)}" cy="{rng.randrange(800)}" r="{rng.randrange(60, 320)}" '
        f'fill="{rng.choice(others)}" opacity="0.8"/>'
        for _ in range(7)
    )
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" width="1200" height="800" viewBox="0 0 1200 800">'
        f'<rect width="1200" height="800" fill="{back}"/>{shapes}</svg>'
    ).encode()


@attrs.define(kw_only=True)
class Wobble:
    """How the search strays from what one would expect.

    ``strings`` sends numbers as strings; ``hide`` leaves out every so many-th photo of each page; ``repeat``
    begins each page but the first with so many photos of the page before; ``pages`` claims that number of pages
    whatever there is.
    """

    strings: bool = False
    hide: int = 0
    repeat: int = 0
    pages: int | None = None


class Library:
    """All photos, and ``flickr.photos.search`` over them."""

    def __init__(self, image_url: str = "https://live.staticflickr.com/65535") -> None:
        self.image_url = image_url
        self.photos: dict[str, Photo] = {}
        self.wobble = Wobble()

    def add(self, *photos: Photo) -> None:
        """Add photos, or replace those with the same ids."""
        for photo in photos:
            self.photos[photo.id] = photo

    def search(self, query: Mapping[str, str], now: float) -> dict[str, Any]:
        """The answer to the parameters ``query``."""
        tags = {tag for tag in query.get("tags", "").split(",") if tag}
        if not tags and not query.get("text"):
            return failure(
                3, "Parameterless searches have been disabled. Please use flickr.photos.getRecent instead."
            )
        since = int(query.get("min_upload_date") or 0)
        found = [
            photo
            for photo in self.photos.values()
            if tags & set(photo.tags)
            and photo.uploaded >= since
            and (photo.indexed if photo.indexed is not None else photo.uploaded) <= now
        ]
        newest_first = not query.get("sort", "date-posted-desc").endswith("-asc")
        found.sort(key=lambda photo: (photo.uploaded, int(photo.id)), reverse=newest_first)
        per_page = min(max(int(query.get("per_page") or 100), 1), 500)
        page = max(int(query.get("page") or 1), 1)
        extras = tuple(query.get("extras", "").split(","))
        return self._page(found, page, per_page, extras)

    def _page(self, found: Sequence[Photo], page: int, per_page: int, extras: Sequence[str]) -> dict[str, Any]:
        wobble = self.wobble
        start = (page - 1) * per_page
        shown = list(found[max(start - wobble.repeat, 0) : start + per_page])
        if wobble.hide:
            shown = [photo for index, photo in enumerate(shown, 1) if index % wobble.hide]
        number = str if wobble.strings else int
        pages = -(-len(found) // per_page) if wobble.pages is None else wobble.pages
        return {
            "photos": {
                "page": page,
                "pages": pages,
                "perpage": per_page,
                "total": number(len(found)),
                "photo": [self._photo(photo, extras) for photo in shown],
            },
            "stat": "ok",
        }

    def _photo(self, photo: Photo, extras: Sequence[str]) -> dict[str, Any]:
        """One photo with the extras that were asked for, and no others."""
        strings = self.wobble.strings
        number = str if strings else int
        updated = photo.updated if photo.updated is not None else photo.uploaded
        offered: dict[str, dict[str, Any]] = {
            "description": {"description": {"_content": photo.description}},
            "license": {"license": str(photo.licence) if strings else photo.licence},
            "date_upload": {"dateupload": str(photo.uploaded)},
            "date_taken": {
                "datetaken": "2026-03-01 10:00:00",
                "datetakengranularity": number(0),
                "datetakenunknown": number(0),
            },
            "owner_name": {"ownername": photo.owner_name},
            "icon_server": {"iconserver": number(0), "iconfarm": 0},
            "last_update": {"lastupdate": str(updated) if strings else updated},
            "tags": {"tags": " ".join(photo.tags)},
            "media": {"media": "photo", "media_status": "ready"},
            "path_alias": {"pathalias": photo.path_alias},
            "url_m": self._rendition(photo, "m", 500, 333, number),
            "url_l": self._rendition(photo, "l", 1024, 683, number),
        }
        shown: dict[str, Any] = {
            "id": photo.id,
            "owner": photo.owner,
            "secret": "ab12cd34ef",
            "server": "65535",
            "farm": 66,
            "title": photo.title,
            "ispublic": 1,
            "isfriend": 0,
            "isfamily": 0,
        }
        for name in extras:
            shown.update(offered.get(name, {}))
        shown.update(photo.extra)
        return {name: value for name, value in shown.items() if value is not None or name == "pathalias"}

    def _rendition(self, photo: Photo, size: str, width: int, height: int, number: Any) -> dict[str, Any]:
        return {
            f"url_{size}": f"{self.image_url}/{photo.id}_{size}.svg",
            f"width_{size}": number(width),
            f"height_{size}": number(height),
        }


def failure(code: int, message: str) -> dict[str, Any]:
    """Flickr's way to say no, with HTTP status 200."""
    return {"stat": "fail", "code": code, "message": message}
