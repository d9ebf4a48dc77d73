"""From what upstreams send to drafts: bytes in, values out, no I/O.

One module per source (``x``, ``flickr``, ``push``, ``replay``); ``text`` makes safe HTML of posts, ``finder``
finds links in plain text, and ``values``, ``urls`` and ``characters`` decide what is let through.
"""
