"""The account's key: from the environment, or from a file outside the project that nobody else can read."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from eraflow.errors import InputError

PUBLIC, SECRET = "NUMERAI_PUBLIC_ID", "NUMERAI_SECRET_KEY"


@dataclass(frozen=True)
class Credentials:
    """A key of Numerai's API. Neither half is ever shown: not by `repr`, and by no message of ours."""

    public_id: str = field(repr=False)
    secret_key: str = field(repr=False)


# What the stand-in takes; it is on loopback only, and no account's key ever goes there.
STAND_IN = Credentials("STAND-IN-PUBLIC", "STAND-IN-SECRET")


def credentials(file: str | None, environ: Mapping[str, str], project: Path | None = None) -> Credentials:
    """The key in `file` or, without one, in the environment. `project` is the folder that no such file may be in.

    InputError: half or none of it is there; a file that others can read, that is in the project, or has other lines.
    """
    found = environ if file is None else _read(Path(file).expanduser(), (project or Path.cwd()).resolve())
    public, secret = found.get(PUBLIC, "").strip(), found.get(SECRET, "").strip()
    if not public or not secret:
        absent = PUBLIC if not public else SECRET
        place = f"{file} has no line {absent}=..." if file else f"the environment has no {absent}"
        raise InputError(
            f"sending needs a key of Numerai's API, and {place}; make one at Numerai (Account, Custom API keys) with "
            "the rights upload_submission, read_submission_info and read_user_info, and set it there."
        )
    return Credentials(public, secret)


def _read(path: Path, project: Path) -> dict[str, str]:
    if project in path.resolve().parents:
        raise InputError(f"submit.credentials: {path} is inside {project}; keep the key outside of the project.")
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            raise InputError(f"submit.credentials: others can read {path} (mode {mode:o}); say chmod 600 {path}.")
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no text"
        raise InputError(f"submit.credentials: {path} cannot be read ({reason}); check the path.") from None
    pairs = (line.removeprefix("export ").partition("=") for line in lines if "=" in line and not line.startswith("#"))
    return {name.strip(): value.strip().strip("\"'") for name, _, value in pairs}


def environment() -> Mapping[str, str]:
    """The process's environment, and nothing else: no `.env` file of the folder is looked for."""
    return os.environ
