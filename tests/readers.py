# SPDX-License-Identifier: BSD-2-Clause
"""Finds who reads what is declared, in the source and without running it."""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import FunctionType
from typing import Any

from ganeti.cli.command import Command
from ganeti.cli.lazy import LazyFunction
from ganeti.opcodes.registry import OPCODES
from ganeti.operations.operation import AnyOperation

SOURCE = Path(__file__).parents[1] / "ganeti"

OPCODE, PLAN = "opcode", "plan"
"""What a name stands for in a function: an opcode, or a plan that has one as ``op``."""


def modules(besides: Iterable[str] = ()) -> Iterator[ast.Module]:
    """The modules of the product, but for those whose paths begin so."""
    left_out = tuple(besides)
    for path, tree in _all_modules().items():
        if not path.startswith(left_out):
            yield tree


@functools.cache
def _all_modules() -> Mapping[str, ast.Module]:
    return {
        str(path.relative_to(SOURCE)): ast.parse(path.read_text()) for path in SOURCE.rglob("*.py")
    }


def _is_written(function: FunctionType) -> bool:
    """Whether it is in a file: what dataclasses make is not."""
    original = inspect.unwrap(function)
    return isinstance(original, FunctionType) and original.__code__.co_filename[:1] != "<"


@functools.cache
def _source(function: FunctionType) -> ast.Module:
    return ast.parse(textwrap.dedent(inspect.getsource(function)))


def names_read(trees: Iterable[ast.Module]) -> set[str]:
    """Every attribute that is read, and every text, by which fields of mappings are."""
    found = set()
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                found.add(node.attr)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
    return found


def names_called(trees: Iterable[ast.Module]) -> set[str]:
    """The last part of the name of everything that is called."""
    found = set()
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                match node.func:
                    case ast.Name(name) | ast.Attribute(attr=name):
                        found.add(name)
    return found


def parameters_read(operation: AnyOperation) -> set[str]:
    """The parameters of its opcode that an operation reads, wherever it hands it on to."""
    reads = _Reads()
    for function, kind in (
        (operation.plan, OPCODE),
        (operation.questions, OPCODE),
        (operation.request_allocation, OPCODE),
        (operation.search, OPCODE),
        (operation.run, PLAN),
        (operation.hooks, PLAN),
        (operation.preview, PLAN),
    ):
        reads.enter(function, [kind], {})
    return reads.found


class _Reads:
    """Follows an opcode through the functions that it is handed to."""

    def __init__(self) -> None:
        self.found: set[str] = set()
        self._seen: set[tuple[Any, tuple[tuple[str, str], ...]]] = set()

    def enter(self, called: Any, positional: list[str | None], named: dict[str, str]) -> None:
        """Look into what is called with opcodes or plans in these places."""
        if not getattr(called, "__module__", "").startswith("ganeti.operations"):
            return
        if inspect.isclass(called):
            for member in vars(called).values():
                method = member.fget if isinstance(member, property) else member
                if isinstance(method, FunctionType):
                    self._follow(method, {"self": PLAN})
        elif isinstance(function := inspect.unwrap(called), FunctionType):
            names = list(inspect.signature(function).parameters)
            known = {name: kind for name, kind in zip(names, positional, strict=False) if kind}
            self._follow(function, known | named)

    def _follow(self, function: FunctionType, known: Mapping[str, str]) -> None:
        key = (function, tuple(sorted(known.items())))
        if key in self._seen or not _is_written(function):
            return
        self._seen.add(key)
        tree = _source(function)
        names = _assigned(tree, dict(known))
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and _kind(node.value, names) == OPCODE:
                self.found.add(node.attr)
            elif isinstance(node, ast.Call):
                self._call(function, node, tree, names)

    def _call(
        self, function: FunctionType, call: ast.Call, tree: ast.AST, names: Mapping[str, str]
    ) -> None:
        match call:
            case ast.Call(ast.Name("getattr"), [of, field, *_]) if _kind(of, names) == OPCODE:
                self.found |= _texts(field, function, tree)
                return
        arguments = list(call.args)
        found = list(_called(call.func, function, tree))
        if functools.partial in found and arguments:
            found = list(_called(arguments.pop(0), function, tree))
        positional = [_kind(each, names) for each in arguments]
        named = {
            each.arg: kind
            for each in call.keywords
            if each.arg and (kind := _kind(each.value, names))
        }
        if any(positional) or named:
            for each in found:
                self.enter(each, positional, named)


def _kind(node: ast.expr, names: Mapping[str, str]) -> str | None:
    match node:
        case ast.Name(name):
            return names.get(name)
        case ast.Attribute(attr="op"):
            return OPCODE
    return None


def _assigned(tree: ast.AST, names: dict[str, str]) -> dict[str, str]:
    """The names with those that stand for the same in a function."""
    for node in ast.walk(tree):
        match node:
            case ast.Assign([ast.Name(name)], value) if kind := _kind(value, names):
                names[name] = kind
            case ast.Assign([ast.Tuple(targets)], ast.Tuple(values)):
                for target, value in zip(targets, values, strict=False):
                    if isinstance(target, ast.Name) and (kind := _kind(value, names)):
                        names[target.id] = kind
    return names


def _called(node: ast.expr, function: FunctionType, tree: ast.AST) -> Iterator[Any]:
    """What ``node`` may be when it is called, in the module of ``function``.

    That may be one of a table, or of a list that is gone through.
    """
    match node:
        case ast.Subscript(table):
            for each in _called(table, function, tree):
                if isinstance(each, Mapping):
                    yield from each.values()
        case ast.Attribute(value=base, attr=attr):
            for each in _called(base, function, tree):
                yield getattr(each, attr, None)
        case ast.Name(name) if name in function.__globals__:
            yield function.__globals__[name]
        case ast.Name(name):
            for loop in ast.walk(tree):
                match loop:
                    case ast.For(ast.Name(target), ast.Name(listed)) if target == name:
                        yield from function.__globals__.get(listed, ())


def _texts(field: ast.expr, function: FunctionType, tree: ast.AST) -> set[str]:
    """The names that ``field`` may have: itself, or what the function goes through."""
    if isinstance(field, ast.Constant):
        return {str(field.value)}
    found = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    for name in used & function.__globals__.keys():
        value = function.__globals__[name]
        if isinstance(value, Mapping):
            found |= {*value, *value.values()} if all(map(_hashable, value.values())) else {*value}
        elif isinstance(value, tuple | frozenset):
            found |= {each for each in value if isinstance(each, str)}
    return {each for each in found if isinstance(each, str)}


def _hashable(value: object) -> bool:
    return isinstance(value, str | int | bool | None)


def option_names_read(command: Command) -> set[str]:
    """Return every text in what a command runs, among which are the names of options it reads.

    Followed are the functions of ``ganeti.cli`` that it calls, by name and wherever they are.
    """
    functions, tables = _definitions_of_tools()
    found: set[str] = set()
    fields = OPCODES[command.opcode].__struct_fields__ if command.opcode else ()
    waiting = [each.__name__ for each in _called_at_first(command)]
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        for tree in (*functions.get(name, ()), *tables.get(name, ())):
            for node in ast.walk(tree):
                match node:
                    case ast.Constant(str() as text):
                        found.add(text)
                    case ast.Name(used) | ast.Attribute(attr=used):
                        waiting.append(used)
    return found | set(fields if "opcode_of" in seen or "request" in seen else ())


def _called_at_first(command: Command) -> Iterator[FunctionType]:
    """Return the functions that a declaration names."""
    run = command.run
    arguments = run.args if isinstance(run, functools.partial) else ()
    candidates: list[Any] = [run.func if isinstance(run, functools.partial) else run]
    candidates += [
        command.given,
        command.ended,
        *(getattr(each, "chosen", 0) for each in arguments),
    ]
    loaded = (each.load() if isinstance(each, LazyFunction) else each for each in candidates)
    yield from (each for each in loaded if isinstance(each, FunctionType))


@functools.cache
def _definitions_of_tools() -> tuple[dict[str, list[ast.AST]], dict[str, list[ast.AST]]]:
    """Return the functions and the constants of the tools' modules by name."""
    functions: dict[str, list[ast.AST]] = {}
    tables: dict[str, list[ast.AST]] = {}
    for path, tree in _all_modules().items():
        for node in tree.body if path.startswith("cli/") else ():
            match node:
                case ast.FunctionDef(name):
                    functions.setdefault(name, []).append(node)
                case ast.Assign([ast.Name(name)]) | ast.AnnAssign(ast.Name(name)):
                    if not name.startswith("GNT_"):
                        tables.setdefault(name, []).append(node)
    return functions, tables
