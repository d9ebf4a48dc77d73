"""How much each kind of evidence counts."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class Weights:
    """Points.  What an item has for a talk is added up; the best talk gets the item if it has ``threshold``
    points or more and ``margin`` more than the second.  Minutes where the name ends in ``_min``."""

    #: Posted, or taken, while the talk was on.
    during: float = 2.0
    #: Just after its end; less and less until ``tail_min`` later.
    tail: float = 1.7
    tail_min: float = 30.0
    #: Just before its start; from ``lead_min`` before on.
    lead: float = 0.3
    lead_min: float = 20.0
    #: A photo was made where its talk was.
    photo: float = 0.3

    #: A hashtag of the talk's own; of the room or the track, while the talk is near.
    hashtag: float = 4.0
    room: float = 2.0
    track: float = 1.0
    #: A link to the talk's page.
    link: float = 5.0

    #: A speaker is addressed by handle: near the talk, within a day after it, and at any other time, when it
    #: may as well be about lunch.
    handle: float = 3.0
    handle_after: float = 2.0
    handle_far: float = 1.0
    #: A speaker posts, from ``author_min`` before the talk to as long after it.
    author: float = 2.0
    author_min: float = 60.0
    #: First and last name; a last name alone; a first name alone, near the talk.
    full_name: float = 3.0
    last_name: float = 1.6
    first_name: float = 1.2

    #: The first rare word of the title, near the talk and far from it; each further one; most of the title.
    title_first: float = 1.2
    title_first_far: float = 0.8
    title_more: float = 1.3
    title_whole: float = 1.0
    #: A word of the abstract, at most thrice.
    abstract: float = 0.3
    #: A word of its type that few talks have, such as "keynote".
    kind: float = 1.0

    #: The answered post is filed under it.
    reply: float = 3.0
    #: The author was there: other posts of theirs are filed under it; while it is on, and at other times.
    seen: float = 1.2
    seen_far: float = 0.3
    #: For each talk of the same day by which the author was more often in this room than in others, to three.
    stayed: float = 0.25
    #: Words about coffee, queues and the like speak against any talk.
    chatter: float = 1.0

    threshold: float = 1.5
    #: What an item itself must say to tell where its author was.
    firm: float = 0.7
    #: So much more during a break.
    pause: float = 0.5
    margin: float = 0.7
    #: An item that says so much about a second talk, and half as much as about the first, is about both.
    named: float = 2.25
