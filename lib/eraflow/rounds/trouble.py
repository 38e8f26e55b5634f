"""What can be wrong with a server, for what is done next."""


class UnreachableError(Exception):
    """No answer, or none that tells what has happened: the same may be right later, and may have been done already."""


class RefusedError(Exception):
    """The server has understood and says no."""
