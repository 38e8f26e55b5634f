"""The commands that README, CONTRIBUTING and docs/ show: read from their pages, and started as a reader starts them."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
FENCE = re.compile(r"^( *)```sh\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
COMMENT = re.compile(r"(^|\s)#.*")  # a # within a word is none
JOB = re.compile(r"(?:^|.*/)jobs/(\w+)\.py$")


@dataclass(frozen=True)
class Command:
    """One command of a page, as its words."""

    page: str
    words: tuple[str, ...]

    @property
    def text(self) -> str:
        """The command in one line."""
        return shlex.join(self.words)

    @cached_property
    def job(self) -> str | None:
        """The job that it starts, by spark-submit, by Python or by `eraflow JOB`; None where it starts none."""
        if self.words[0] == "eraflow":
            return self.words[1] if (ROOT / "jobs" / f"{self.words[1]}.py").exists() else None
        found = [match[1] for word in self.words if (match := JOB.match(word))]
        return found[0] if found and self.words[0] in ("spark-submit", "python") else None

    @property
    def arguments(self) -> tuple[str, ...]:
        """What the job is told."""
        if self.words[0] == "eraflow":
            return self.words[2:]
        place = next(at for at, word in enumerate(self.words) if JOB.match(word))
        return self.words[place + 1 :]


def commands(pages: tuple[Path, ...] = PAGES) -> Iterator[Command]:
    """Every command of every block of shell, in the order of the pages."""
    for page in pages:
        for _, block in FENCE.findall(page.read_text(encoding="utf-8")):
            for line in block.replace("\\\n", " ").splitlines():
                if words := shlex.split(COMMENT.sub("", line)):
                    yield Command(str(page.relative_to(ROOT)), tuple(words))


# What of a command runs where. The first line that fits counts; a command that fits none fails a test.
SMALL = "run by `make test-full` on small data, all in one place and one session"
SOAK = "run by `make test-soak` in the same way"
SETS_UP = "run by .ci/run, or by every command of make"
PARTS = "run, on small data and with its refusals, by the tests of its own part"
OUTSIDE = "needs Numerai's server, 9 GB of its files, a cluster or a workspace; its words are held to what jobs take"
TIERS = (
    (r"^(source |make (torch|bench)$)", SETS_UP),
    (r"^(pip install|eraflow (setup|doctor|config)|make (replay|notebook|dist|test-oldest|bench-))", PARTS),
    (r"champion:|jobs/(retrain|monitor|replay)\.py|^eraflow (retrain|monitor|replay)", PARTS),
    (r"conf/classic\.yml|--run classic$|mine\.yml|spark://|^databricks ", OUTSIDE),
    (r"^make run$", SMALL),
    (r"^make round-demo$", SOAK),
    (r"tres=|--predictions|--run |conf/classic-synthetic\.yml|prune|--export", SMALL),
    (r"^spark-submit jobs/train\.py --config conf/signals\.yml --set prices\.path=FILE$", SMALL),
    (r"jobs/", SOAK),
)


def tier(command: Command) -> str:
    """Where a command is run, or why it is not. LookupError where nobody has said."""
    for pattern, where in TIERS:
        if re.search(pattern, command.text):
            return where
    raise LookupError(f"{command.page}: no tier of tests/documented.py runs {command.text!r}")
