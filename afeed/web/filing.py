"""What posts say of the talk they are under, as the schedule calls it by now."""

from __future__ import annotations

from collections.abc import Mapping

from afeed.channel import Channel
from afeed.core.schedule.model import Schedule
from afeed.schedules.programme import Programme
from afeed.web.fragments import Fragments, TalkLabel


def talk_labels(slug: str, schedule: Schedule) -> dict[str, TalkLabel]:
    """The label of every talk by its id, and by those that it had before."""
    labels = {
        talk.id: TalkLabel(talk.title, f"/{slug}/talks/{talk.id}")
        for talk in schedule.talks
        if not talk.is_break
    }
    former = {old: labels[new] for old, new in schedule.aliases.items() if new in labels}
    return former | labels


def label_posts(
    programmes: Mapping[str, Programme], fragments: Mapping[str, Fragments], channels: Mapping[str, Channel]
) -> None:
    """Have the posts of every event with a schedule say under which talk they are, in the words of the version
    in use; with another one everything is rendered anew."""

    def changed(slug: str) -> None:
        schedule = programmes[slug].schedule
        fragments[slug].know(talk_labels(slug, schedule) if schedule is not None else {})
        channels[slug].forget_fragments()

    for slug, programme in programmes.items():
        channels[slug].label = fragments[slug].label
        changed(slug)
        programme.on_change(changed)
