"""Searching the archive, without a database: what an item is found by, what people mean by what they type, and
where it stands in what was found."""
