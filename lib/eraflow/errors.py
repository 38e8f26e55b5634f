"""The one error that a user can mend."""


class InputError(Exception):
    """Bad input, bad config or a broken contract; a job shows its message and exits with code 2.

    The message is one sentence or two: what is wrong, where (file, column, era, date or config key), and what to do.
    """
