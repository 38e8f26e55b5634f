"""numerapi's queries over a transport that has time-outs, tells failures apart and repeats nothing.

numerapi 3.1.1 gives `{}` for a failed request, repeats a mutation after a 5xx, waits for ever for an answer, looks at
no PUT's status and reads `.env` files. Its queries and what it reads of the answers are used as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import requests
from numerapi import NumerAPI, SignalsAPI, base_api

from eraflow.rounds.credentials import Credentials
from eraflow.rounds.trouble import RefusedError, UnreachableError

CONNECT = 20.0  # seconds
_AGAIN = (408, 425, 429)  # what may be right later


class _Patient:
    """numerapi's calls over a transport of our own; mixed in before one of its classes."""

    address: str
    timeout: float
    is_real: bool
    token: Any  # both halves of the key, or None

    def _login(self, public_id: str | None = None, secret_key: str | None = None) -> None:
        """Takes the key that is given and looks nowhere else, as numerapi would."""
        self.token = (public_id, secret_key) if public_id and secret_key else None

    def raw_query(
        self, query: str, variables: Mapping[str, Any] | None = None, authorization: bool = False, **_: Any
    ) -> Any:
        """The answer to one request, which is sent once. UnreachableError, RefusedError."""
        headers = {"Content-type": "application/json", "Accept": "application/json"}
        if authorization:
            if self.token is None:
                raise RefusedError("it asks for the account's key")
            headers["Authorization"] = "Token {}${}".format(*self.token)
        body = {"query": query, "variables": variables}
        # What requests says of a failure may hold an address with a signature in it: only its kind is told.
        try:
            answer = requests.post(self.address, json=body, headers=headers, timeout=(CONNECT, self.timeout))
        except requests.RequestException as error:
            raise UnreachableError(type(error).__name__) from None
        return _content(answer)

    def transferred(self, method: str, url: str, content: bytes | None) -> requests.Response:
        """The answer of a store, whatever its status. UnreachableError."""
        try:
            return requests.request(method, url, data=content, timeout=(CONNECT, self.timeout))
        except requests.RequestException as error:
            raise UnreachableError(type(error).__name__) from None


def _content(answer: requests.Response) -> Any:
    """The JSON of an answer without errors."""
    try:
        content = answer.json()
    except ValueError:
        content = None
    said = _errors(content)
    if answer.status_code >= 500 or answer.status_code in _AGAIN:
        raise UnreachableError(f"HTTP {answer.status_code}")
    if answer.status_code >= 400:
        raise RefusedError(said or f"HTTP {answer.status_code}")
    if said:
        raise RefusedError(said)
    if not isinstance(content, dict) or not isinstance(content.get("data"), dict):
        raise UnreachableError("an answer that is no JSON with data")
    return content


def _errors(content: Any) -> str:
    """What GraphQL, or the server before it, says is wrong; empty where nothing is."""
    found = content.get("errors") if isinstance(content, dict) else None
    if isinstance(found, Mapping):
        return str(found.get("detail") or "an error without words")
    messages = [str(one.get("message", one)) if isinstance(one, Mapping) else str(one) for one in found or ()]
    return "; ".join(messages)


class _Classic(_Patient, NumerAPI):
    pass


class _Signals(_Patient, SignalsAPI):
    pass


def connected(tournament: str, key: Credentials | None, address: str | None, timeout: float) -> Any:
    """numerapi's client of a tournament, with a key or without."""
    kind = _Signals if tournament == "signals" else _Classic
    half = (key.public_id, key.secret_key) if key else (None, None)
    api = kind(*half, verbosity="CRITICAL", show_progress_bars=False)
    api.address, api.timeout, api.is_real = address or base_api.API_TOURNAMENT_URL, timeout, address is None
    return api
