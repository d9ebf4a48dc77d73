"""What organisers may do: sign in, hide and restore items, block authors.

Who they are is in the configuration; what they did, and what is hidden because of it, is in the archive's
database (:mod:`afeed.archive.moderation`, :mod:`afeed.archive.sign_ins`), where every node finds it, also after
a restart.
"""
