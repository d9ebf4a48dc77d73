"""``python -m afeed.command``: the same as ``afeed``, where that is not on the path."""

from afeed.command.main import script

if __name__ == "__main__":
    script()
