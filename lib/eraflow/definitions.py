"""What code a table is made by: the definitions that a function reaches, but for what changes nothing in the outcome.

A comment, a docstring, an annotation or the words of an error make no other table, nor does a function that nobody
calls. Code is read as it is written, not as it runs: what stands behind a name that a module imports or defines is
reached, and a module is reached whole where a name is looked up in it while the program runs.
"""

from __future__ import annotations

import ast
import hashlib
import itertools
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path

PACKAGE = Path(__file__).parent
NAME = PACKAGE.name
# What stands in no table: how settings are read (a recipe holds their values), where tables lie, what users are told.
APART = frozenset(f"{NAME}.{room}" for room in ("cli", "errors", "progress", "session", "tables", "pipeline.steps"))
SETTINGS = f"{NAME}.config"
_LOOKUPS = {"globals", "import_module", "__import__"}
_VALIDATORS = {"field_validator", "model_validator"}
_SAYS_NOTHING = {"annotation", "returns", "ctx", "type_comment"}  # fields of a syntax tree

# Python 3.11 counts the depth of a tree that it makes once a process: two threads that parse at once spoil each other's
# count, and one fails ("AST constructor recursion depth mismatch"). Two runs of one driver do so.
_PARSING = threading.Lock()

Definition = tuple[str, str]  # a module and a name at its top; the name is ALL for the module whole
ALL = "*"


@dataclass(frozen=True)
class Source:
    """A module as it is written."""

    definitions: Mapping[str, tuple[ast.stmt, ...]]  # by the name that they bind at the top
    imports: Mapping[str, Definition]  # local name -> what it stands for; ALL for a module
    others: tuple[ast.stmt, ...]  # statements that bind no name: they count wherever the module is reached


def code(*roots: Definition) -> str:
    """A hash of all that these definitions reach, and of the versions of the packages that it uses.

    A root is the name of a module of eraflow and of a function or class in it.
    """
    digest = hashlib.sha256()
    with _PARSING:
        found, packages = _reached(frozenset(roots))
        for definition in sorted(found):
            digest.update(_text(definition).encode())
    for package in sorted(packages):
        digest.update(f"{package} {_version(package)}\n".encode())
    if "pyspark" in packages:
        digest.update((PACKAGE / "jars.sha256").read_bytes())
    return digest.hexdigest()[:16]


def root(function: object) -> Definition:
    """The definition at the top of a module that holds a function, a method or a function within one."""
    return str(function.__module__), str(function.__qualname__).partition(".")[0]  # type: ignore[attr-defined]


def written_in(*rooms: str) -> str:
    """A hash of all that is written in some rooms of the library (`features`, `pipeline/train`, ...).

    It is read as `code` reads it, but what it uses of other rooms is not followed.
    """
    files = [
        file
        for room in rooms
        for file in (sorted((PACKAGE / room).rglob("*.py")) if (PACKAGE / room).is_dir() else [PACKAGE / f"{room}.py"])
    ]
    digest = hashlib.sha256()
    with _PARSING:
        for file in files:
            module = ".".join((NAME, *file.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
            source = _source(module)
            for statement in (*itertools.chain.from_iterable(source.definitions.values()), *source.others):
                digest.update(f"{module} {_plain(statement, module)}\n".encode())
    return digest.hexdigest()[:16]


def reached(*roots: Definition) -> frozenset[Definition]:
    """The definitions that these reach, themselves among them; OTHERS of each module that any of them is in."""
    with _PARSING:
        return _reached(frozenset(roots))[0]


def statements(*roots: Definition) -> Iterator[ast.stmt]:
    """The statements of all definitions that these reach, those that bind no name among them."""
    for module, name in sorted(reached(*roots)):
        source = _source(module)
        yield from source.definitions.get(name, source.others)


OTHERS = ""  # in place of a name: the statements of a module that bind none


@cache
def _reached(roots: frozenset[Definition]) -> tuple[frozenset[Definition], frozenset[str]]:
    found: set[Definition] = set()
    packages: set[str] = set()
    open_ends = list(roots)
    while open_ends:
        module, name = open_ends.pop()
        if (module, name) in found or module in APART:
            continue
        if module.partition(".")[0] != NAME:
            packages.add(module.partition(".")[0])
            continue
        source = _source(module)
        if name == ALL:
            open_ends += [(module, each) for each in source.definitions]
        elif name in source.definitions:
            found.add((module, name))
            for statement in source.definitions[name]:
                open_ends += _uses(statement, module)
        elif name in source.imports:
            open_ends.append(source.imports[name])
            continue
        elif name != OTHERS:
            raise LookupError(f"{module} has no definition {name!r}")
        if name != OTHERS:
            open_ends.append((module, OTHERS))
        elif source.others:
            found.add((module, OTHERS))
            for statement in source.others:
                open_ends += _uses(statement, module)
    return frozenset(found), frozenset(packages - sys.stdlib_module_names)


@cache
def _uses(statement: ast.stmt, module: str) -> tuple[Definition, ...]:
    """What a statement names of its module, of other modules of eraflow and of packages."""
    source = _source(module)
    nodes = [*ast.walk(_without_fields(statement) if module.startswith(SETTINGS) else statement)]
    local, found = dict(source.imports), list[Definition]()
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            local |= _imported(node, module)
    inner: set[int] = set()  # names that an attribute has been taken of
    for node in nodes:
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            place = local.get(node.value.id)
            if place and place[1] == ALL and place[0].partition(".")[0] == NAME:
                inner.add(id(node.value))
                found.append(_member(place[0], node.attr))
    for node in nodes:
        if isinstance(node, ast.Name) and node.id in _LOOKUPS:
            found.append((module, ALL))
        elif isinstance(node, ast.Name) and id(node) not in inner:
            if node.id in source.definitions:
                found.append((module, node.id))
            elif node.id in local:
                found.append(local[node.id])
    return tuple(dict.fromkeys(found))


def _member(module: str, name: str) -> Definition:
    source = _source(module)
    if name in source.definitions or name in source.imports:
        return module, name
    if _is_module(f"{module}.{name}"):
        return f"{module}.{name}", ALL
    return module, ALL


@cache
def _source(module: str) -> Source:
    definitions: dict[str, tuple[ast.stmt, ...]] = {}
    imports: dict[str, Definition] = {}
    others: list[ast.stmt] = []
    for statement in _statements(ast.parse(_file(module).read_bytes()).body):
        if isinstance(statement, ast.Import | ast.ImportFrom):
            imports |= _imported(statement, module)
        elif names := _bound(statement):
            definitions |= {name: (*definitions.get(name, ()), statement) for name in names}
        elif not _is_text(statement):
            others.append(statement)
    return Source(definitions, imports, tuple(others))


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a module; imports for annotations alone stand under a condition."""
    for statement in body:
        if isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.unparse(statement.test):
            yield from statement.body
        else:
            yield statement


def _bound(statement: ast.stmt) -> list[str]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [statement.name]
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    if isinstance(statement, ast.AnnAssign):
        targets = [statement.target]
    return [node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)
            and isinstance(node.ctx, ast.Store)]  # fmt: skip


def _imported(statement: ast.Import | ast.ImportFrom, module: str) -> dict[str, Definition]:
    if isinstance(statement, ast.Import):
        return {
            name.asname or name.name.partition(".")[0]: (name.name if name.asname else name.name.partition(".")[0], ALL)
            for name in statement.names
        }
    origin = str(statement.module)
    if statement.level:
        package = module if _file(module).name == "__init__.py" else module.rpartition(".")[0]
        base = package.split(".")[: len(package.split(".")) - statement.level + 1]
        origin = ".".join([*base, *([statement.module] if statement.module else [])])
    if origin.partition(".")[0] != NAME:
        return {name.asname or name.name: (origin, ALL) for name in statement.names}
    return {
        name.asname or name.name: (f"{origin}.{name.name}", ALL)
        if _is_module(f"{origin}.{name.name}") and name.name not in _names(origin)
        else (origin, name.name)
        for name in statement.names
    }


@cache
def _names(module: str) -> frozenset[str]:
    """The names that functions, classes and assignments bind in a module; of a package's own file alone."""
    return frozenset(name for part in ast.parse(_file(module).read_bytes()).body for name in _bound(part))


@cache
def _is_module(module: str) -> bool:
    place = PACKAGE.joinpath(*module.split(".")[1:])
    return place.with_suffix(".py").is_file() or (place / "__init__.py").is_file()


@cache
def _file(module: str) -> Path:
    place = PACKAGE.joinpath(*module.split(".")[1:])
    return place / "__init__.py" if place.is_dir() else place.with_suffix(".py")


@cache
def _text(definition: Definition) -> str:
    """What counts of its statements, a line each."""
    module, name = definition
    source = _source(module)
    statements = source.definitions.get(name, source.others)
    return "".join(f"{module}.{name} {_plain(statement, module)}\n" for statement in statements)


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


@cache
def _plain(statement: ast.stmt, module: str) -> str:
    """The statement without docstrings, annotations, the words of errors and, of settings, their fields."""
    return _written(_without_fields(statement) if module.startswith(SETTINGS) else statement)


def _written(part: object, in_error: bool = False) -> str:
    """A part of a syntax tree as text; within an error that is raised without the words."""
    if isinstance(part, list):
        return f"[{' '.join(_written(each, in_error) for each in part)}]"
    if not isinstance(part, ast.AST):
        return repr(part)
    if isinstance(part, ast.Constant):
        return "''" if in_error and isinstance(part.value, str) else repr(part.value)
    fields = {name: getattr(part, name, None) for name in part._fields if name not in _SAYS_NOTHING}
    if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        fields["body"] = [each for each in part.body if not _is_text(each)] or [ast.Pass()]
    in_error = in_error or isinstance(part, ast.Raise)
    written = (f"{name}={_written(value, in_error)}" for name, value in fields.items())
    return f"{type(part).__name__}({' '.join(written)})"


def _without_fields(statement: ast.stmt) -> ast.stmt:
    """Of settings only what is computed of them: a recipe holds their values."""
    if not isinstance(statement, ast.ClassDef):
        return statement
    kept = [part for part in statement.body if isinstance(part, ast.FunctionDef) and not _is_validator(part)]
    return ast.ClassDef(statement.name, statement.bases, [], list[ast.stmt](kept), [], type_params=[])  # type: ignore[call-arg]


def _is_validator(function: ast.FunctionDef) -> bool:
    named = {node.id for part in function.decorator_list for node in ast.walk(part) if isinstance(node, ast.Name)}
    return bool(named & _VALIDATORS)


@cache
def _version(package: str) -> str:
    """Of what is imported under this name."""
    try:
        return version(package)
    except PackageNotFoundError:
        found = packages_distributions().get(package, [])
        return " ".join(f"{name} {version(name)}" for name in sorted(found))
