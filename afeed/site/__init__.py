"""An event as a folder of plain HTML that needs no server and no script, and works from a file share."""
