"""As much of GraphQL as numerapi sends: one operation, its fields with arguments and selections, in both spellings."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_TOKENS = re.compile(r'[{}():!\[\]]|\$?[A-Za-z_]\w*|"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?')
_PUNCTUATION = "{}():![]"
_CONSTANTS = {"true": True, "false": False, "null": None}


class QueryError(Exception):
    """What the server says is wrong with a query: HTTP 200 with `errors`."""


@dataclass(frozen=True)
class Field:
    """One field of a selection, as it was asked for."""

    asked: str
    arguments: Mapping[str, Any]
    selected: tuple[Field, ...]

    @property
    def name(self) -> str:
        return camel(self.asked)


def camel(name: str) -> str:
    """A name in the one spelling that the server has: `create_submission` is createSubmission."""
    first, *others = name.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in others)


def fields(query: str, variables: Mapping[str, Any] | None) -> tuple[Field, ...]:
    """The fields of the operation, variables put in. QueryError where it cannot be read."""
    tokens = _Tokens(_TOKENS.findall(query))
    while (token := tokens.take()) != "{":  # the operation's kind, name and variables' types
        if token == "(":
            while tokens.take() != ")":
                pass
    found = tuple(_selection(tokens, variables or {}))
    if not found:
        raise QueryError("the query asks for nothing")
    return found


class _Tokens:
    """What is left of a query."""

    def __init__(self, tokens: list[str]) -> None:
        self._left = tokens[::-1]

    def take(self) -> str:
        if not self._left:
            raise QueryError("syntax error: the query ends too early")
        return self._left.pop()

    def next_is(self, token: str) -> bool:
        return bool(self._left) and self._left[-1] == token


def _selection(tokens: _Tokens, variables: Mapping[str, Any]) -> Iterator[Field]:
    while (token := tokens.take()) != "}":
        if token in _PUNCTUATION:
            raise QueryError(f"syntax error at {token}")
        arguments = {}
        if tokens.next_is("("):
            tokens.take()
            while (name := tokens.take()) != ")":
                if tokens.take() != ":":
                    raise QueryError(f"syntax error after {name}")
                value = _value(tokens.take(), variables)
                if value is not None:
                    arguments[camel(name)] = value
        selected: tuple[Field, ...] = ()
        if tokens.next_is("{"):
            tokens.take()
            selected = tuple(_selection(tokens, variables))
        yield Field(token, arguments, selected)


def _value(token: str, variables: Mapping[str, Any]) -> Any:
    if token.startswith("$"):
        return variables.get(token[1:])
    if token in _CONSTANTS:
        return _CONSTANTS[token]
    try:
        return json.loads(token)
    except ValueError:
        return token  # a name, as of a status


def answered(query: str, variables: Mapping[str, Any] | None, resolve: Callable[[Field], Any]) -> dict[str, Any]:
    """The answer to a query: what `resolve` gives for each field, cut to what was asked for, by the names asked for."""
    return {field.asked: _cut(resolve(field), field) for field in fields(query, variables)}


def _cut(value: Any, field: Field) -> Any:
    if value is None or not field.selected:
        return value
    if isinstance(value, list):
        return [_cut(each, field) for each in value]
    unknown = [one.asked for one in field.selected if one.name not in value]
    if unknown:
        raise QueryError(f'Cannot query field "{unknown[0]}" on {field.asked}.')
    return {one.asked: _cut(value[one.name], one) for one in field.selected}
