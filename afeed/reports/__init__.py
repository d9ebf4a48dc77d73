"""Reports of talks and events, made by a process of their own so that the feed does not feel it."""
