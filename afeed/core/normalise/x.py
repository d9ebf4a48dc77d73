"""What X sends, as drafts: lines of the stream and pages of the search, API v2 and 1.1 alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal

import msgspec

from afeed.core.draft import Draft, Removed
from afeed.core.errors import BadInput
from afeed.core.normalise import x_v1, x_v2
from afeed.core.normalise.characters import label
from afeed.core.normalise.limits import MAX_LINE_BYTES, MAX_NAME_CHARS, MAX_REASON_CHARS
from afeed.core.normalise.values import decode_json, identifier, integer, mapping, mappings, string
from afeed.core.normalise.x_post import Made, make

_BOM = b"\xef\xbb\xbf"


class Control(msgspec.Struct, frozen=True):
    """What a message says about the stream itself.

    ``disconnect``: the server is closing or refuses the stream. ``limit``: posts matched and were not
    delivered. ``warning``: the client is too slow. ``error``: something failed that does not end the stream.
    ``info``: nothing to be done.  ``reason`` is one line for an operator.
    """

    kind: Literal["disconnect", "limit", "warning", "error", "info"]
    reason: str


class Message(msgspec.Struct, frozen=True):
    """One line of the stream.

    ``tags`` are those of the rules that matched; ``dropped`` has one word for each post that could not be used
    (``malformed``, ``oversize``, ``unsupported``) and ``warnings`` one for each that was mended
    (``no-author``, ``no-original``, ``no-id``) or came with a ``partial-error``.  ``newest_id`` is the post's
    own id upstream, for the next catch-up.
    """

    drafts: tuple[Draft, ...] = ()
    tags: tuple[str, ...] = ()
    control: Control | None = None
    dropped: tuple[str, ...] = ()
    newest_id: str | None = None
    warnings: tuple[str, ...] = ()


class Page(msgspec.Struct, frozen=True):
    """One page of a search, in the order in which X lists it (newest first).

    ``newest_id`` and ``oldest_id`` are None for an empty page.  ``next_token`` asks for the next page (1.1:
    its query string); None on the last one.  ``errors`` are X's own words, one line each.
    """

    drafts: tuple[Draft, ...] = ()
    newest_id: str | None = None
    oldest_id: str | None = None
    next_token: str | None = None
    dropped: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def read_message(line: bytes) -> Message:
    """One line of the stream; a blank one (a keep-alive) is a message without anything in it.  Never raises."""
    body = line.strip().removeprefix(_BOM).strip()
    if not body:
        return Message()
    if len(body) > MAX_LINE_BYTES:
        return Message(dropped=("oversize",))
    try:
        value = decode_json(body)
    except BadInput:
        return Message(dropped=("malformed",))
    if not isinstance(value, dict):
        return Message(dropped=("malformed",))
    if isinstance(value.get("data"), dict):
        return _with_data(value)
    if x_v1.is_post(value):
        return _message([make(x_v1.read_post(value))])
    for member, reader in _ENVELOPES.items():
        if member in value:
            return reader(value)
    return Message(dropped=("unsupported",))


def read_page(body: bytes) -> Page:
    """The reply to a search or a look-up of posts; raises :class:`~afeed.core.errors.BadInput` for a body that
    is not JSON or holds something else."""
    value = decode_json(body)
    if isinstance(value, list):
        return _page_v1(value)
    if isinstance(value, dict):
        for member in ("statuses", "results"):
            if isinstance(value.get(member), list):
                metadata = mapping(value.get("search_metadata"))
                following = string(value.get("next")) or string(metadata.get("next_results"))
                return _page_v1(value[member], following)
        if isinstance(value.get("data"), list | dict) or "meta" in value:
            return _page_v2(value)
        if x_v1.is_post(value):
            return _page_v1([value])
        if "errors" in value or ("title" in value and "type" in value):
            return Page(errors=tuple(_problem(problem) for problem in _problems(value)))
    raise BadInput("the reply is JSON, but neither a list of posts nor an error of X")


# -- lines


def _message(made: Iterable[Made], **members: Any) -> Message:
    all_made = list(made)
    warnings = tuple(warning for one in all_made for warning in one.warnings)
    return Message(
        drafts=tuple(one.draft for one in all_made if one.draft is not None),
        dropped=tuple(one.dropped for one in all_made if one.dropped is not None),
        newest_id=next((one.newest_id for one in all_made if one.newest_id is not None), None),
        warnings=warnings + members.pop("warnings", ()),
        **members,
    )


def _with_data(value: dict[str, Any]) -> Message:
    """A post, or what became of one.  Errors beside it concern parts of it, unless the server says goodbye."""
    data = value["data"]
    problems = mappings(value.get("errors"))
    goodbye = next((problem for problem in problems if _ends_stream(problem)), None)
    control = Control("disconnect", _problem(goodbye)) if goodbye is not None else None
    if x_v2.is_post(data):
        made = [make(x_v2.read_post(data, x_v2.Includes(value.get("includes"))))]
        partial = ("partial-error",) * sum(not _ends_stream(problem) for problem in problems)
        return _message(made, tags=_tags(value), control=control, warnings=partial)
    removed = _compliance(data)
    if removed is not None:
        return Message(drafts=removed, control=control, dropped=() if removed else ("unsupported",))
    return Message(control=control, dropped=("malformed",))


def _tags(value: dict[str, Any]) -> tuple[str, ...]:
    """The tags of the rules that matched; the same tag on two rules counts once."""
    tags = (rule.get("tag") for rule in mappings(value.get("matching_rules")))
    return tuple(dict.fromkeys(tag for tag in tags if isinstance(tag, str) and tag))


#: Compliance events of API v2 that take a post away from the public.
_TAKEN_AWAY = frozenset({"delete", "drop", "withheld"})

#: Those that do not, or that concern a user: an item that is gone does not come back, and afeed keeps no list
#: of users.
_NOT_FOLLOWED = frozenset({"undrop", "tweet_edit", "post_edit"})


def _compliance(data: dict[str, Any]) -> tuple[Draft, ...] | None:
    """The removals that a compliance event asks for; None when ``data`` is no such event."""
    for event, detail in data.items():
        if not isinstance(detail, dict):
            continue
        if event in _TAKEN_AWAY:
            subject = mapping(detail.get("tweet") or detail.get("post"))
            post_id = identifier(subject.get("id"))
            return (Removed(f"x:{post_id}"),) if post_id is not None else ()
        if event in _NOT_FOLLOWED or event.startswith("user_"):
            return ()
    return None


def _problems(value: dict[str, Any]) -> list[dict[str, Any]]:
    return mappings(value.get("errors")) or [value]


def _ends_stream(problem: dict[str, Any]) -> bool:
    """X API docs, "handling disconnections": the two problem types of a stream that is not or no longer
    served."""
    kind = problem.get("type")
    if isinstance(kind, str) and kind.rstrip("/").endswith(
        ("/operational-disconnect", "/streaming-connection")
    ):
        return True
    return "disconnect_type" in problem or "connection_issue" in problem


def _problem(problem: dict[str, Any]) -> str:
    """X's description of a problem as one line."""
    words = [
        text
        for member in ("title", "disconnect_type", "connection_issue", "code", "detail", "message", "reason")
        if (text := _word(problem.get(member))) is not None
    ]
    return label(": ".join(dict.fromkeys(words)), MAX_REASON_CHARS) or "X gave no reason"


def _word(value: object) -> str | None:
    return str(value) if isinstance(value, int) else string(value)


def _errors(value: dict[str, Any]) -> Message:
    problems = _problems(value)
    ending = [problem for problem in problems if _ends_stream(problem)]
    kind: Literal["disconnect", "error"] = "disconnect" if ending else "error"
    return Message(control=Control(kind, _problem((ending or problems)[0])))


def _delete(value: dict[str, Any]) -> Message:
    return _removal(mapping(mapping(value["delete"]).get("status")))


def _withheld(value: dict[str, Any]) -> Message:
    return _removal(mapping(value["status_withheld"]))


def _removal(status: dict[str, Any]) -> Message:
    post_id = identifier(status.get("id_str")) or identifier(status.get("id"))
    if post_id is None:
        return Message(dropped=("malformed",))
    return Message(drafts=(Removed(f"x:{post_id}"),))


def _limit(value: dict[str, Any]) -> Message:
    missed = integer(mapping(value["limit"]).get("track"))
    return Message(control=Control("limit", f"{missed} posts matched and were not delivered since connecting"))


def _warning(value: dict[str, Any]) -> Message:
    return Message(control=Control("warning", _problem(mapping(value["warning"]))))


def _disconnect(value: dict[str, Any]) -> Message:
    return Message(control=Control("disconnect", _problem(mapping(value["disconnect"]))))


def _info(value: dict[str, Any]) -> Message:
    words = value.get("event") if isinstance(value.get("event"), str) else next(iter(value))
    return Message(control=Control("info", label(str(words), MAX_NAME_CHARS) or "an event without a name"))


def _unsupported(value: dict[str, Any]) -> Message:
    return Message(dropped=("unsupported",))


#: What a line without a post may be, by the member that tells; looked at in this order.
_ENVELOPES: dict[str, Callable[[dict[str, Any]], Message]] = {
    "errors": _errors,
    "delete": _delete,
    "status_withheld": _withheld,
    "user_withheld": _unsupported,
    "direct_message": _unsupported,
    "limit": _limit,
    "warning": _warning,
    "disconnect": _disconnect,
    "scrub_geo": _info,
    "friends": _info,
    "friends_str": _info,
    "event": _info,
    "title": _errors,
    "error": _errors,
    "code": _errors,
}


# -- pages


def _page_v2(value: dict[str, Any]) -> Page:
    data = value.get("data")
    entries = [data] if isinstance(data, dict) else data if isinstance(data, list) else []
    includes = x_v2.Includes(value.get("includes"))
    made = [
        make(x_v2.read_post(entry, includes))
        if isinstance(entry, dict) and x_v2.is_post(entry)
        else Made(None, "unsupported" if isinstance(entry, dict) else "malformed")
        for entry in entries
    ]
    meta = mapping(value.get("meta"))
    errors = tuple(_problem(problem) for problem in mappings(value.get("errors")))
    newest, oldest = identifier(meta.get("newest_id")), identifier(meta.get("oldest_id"))
    return _page(made, string(meta.get("next_token")), errors, newest, oldest)


def _page_v1(entries: list[Any], following: str | None = None) -> Page:
    made = [
        make(x_v1.read_post(entry))
        if isinstance(entry, dict) and x_v1.is_post(entry)
        else Made(None, "unsupported" if isinstance(entry, dict) else "malformed")
        for entry in entries
    ]
    return _page(made, following, (), None, None)


def _page(
    made: list[Made], next_token: str | None, errors: tuple[str, ...], newest: str | None, oldest: str | None
) -> Page:
    ids = [one.newest_id for one in made if one.newest_id is not None]
    return Page(
        drafts=tuple(one.draft for one in made if one.draft is not None),
        newest_id=newest or max(ids, key=int, default=None),
        oldest_id=oldest or min(ids, key=int, default=None),
        next_token=next_token,
        dropped=tuple(one.dropped for one in made if one.dropped is not None),
        errors=errors,
        warnings=tuple(warning for one in made for warning in one.warnings),
    )
