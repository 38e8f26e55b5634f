"""What a job tells in a sentence, without a stack trace."""

from collections.abc import Mapping, Sequence


class InputError(Exception):
    """Bad input, bad config or a broken contract; a job shows its message and exits with code 2.

    The message is one sentence or two: what is wrong, where (file, column, era, date or config key), and what to do.
    """


class PartFailedError(Exception):
    """Some models failed and the others are finished; a job shows both and exits with code 1.

    `failures`: the line that says why, by model. `lines`: what the job has to tell of the others.
    """

    def __init__(self, failures: Mapping[str, str], lines: Sequence[str]) -> None:
        super().__init__("; ".join(f"{name}: {reason}" for name, reason in failures.items()))
        self.lines = tuple(lines)
