"""An address that is told how a call has ended; whether it hears changes nothing."""

from __future__ import annotations

from collections.abc import Mapping

from eraflow.outcome import Code, Outcome

TIMEOUT = 10.0  # seconds


def tell(webhook: str, outcome: Outcome, environ: Mapping[str, str]) -> str | None:
    """Posts `{"text", "code", "outcome"}`; returns what went wrong, if anything did, without the address.

    `webhook` is env:NAME of the variable that holds the address, which may be the secret itself: no message of ours
    has it. `text` is what chats show.
    """
    import requests  # an extra, as numerapi is

    variable = webhook.removeprefix("env:")
    address = environ.get(variable)
    if not address:
        return f"submit.webhook: the environment has no {variable}"
    name = Code(outcome.code).name.lower().replace("_", " ")
    body: dict[str, str | int] = {
        "text": "\n".join((f"eraflow: {name}", *outcome.lines)),
        "code": int(outcome.code),
        "outcome": name,
    }
    try:
        answer = requests.post(address, json=dict(body), timeout=TIMEOUT)
    except requests.RequestException as error:
        return f"submit.webhook was not told ({type(error).__name__})"
    return None if answer.ok else f"submit.webhook was not told (HTTP {answer.status_code})"
