"""Pictures that stay: fetched once, kept with the archive, and shown from afeed's own address.

An event with ``keep_media = true`` shows no picture from anywhere else.  :mod:`~afeed.media.addresses` says
which pictures an item has and where they are shown, :mod:`~afeed.media.fetching` gets one,
:mod:`~afeed.media.store` has the files, :mod:`~afeed.media.keeper` sees to it that all of this happens, and
that what nothing shows any more goes."""
