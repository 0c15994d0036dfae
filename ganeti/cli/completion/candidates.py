# SPDX-License-Identifier: BSD-2-Clause
"""What may be typed next on the command line of a tool, by the declarations of its commands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from ganeti.cli.command import Command, Positional, Tool
from ganeti.cli.command_options import HELP, all_options, described
from ganeti.cli.completion.parameter_keys import key_words
from ganeti.cli.options import Option

_BOOLEANS = ("yes", "no")
_PAIR = "pnode[:snode]"


class FileNames(StrEnum):
    """Which names of files the shell adds to the candidates."""

    NONE = "none"
    FILES = "files"
    FOLDERS = "folders"


@dataclass(frozen=True)
class CompletionWord:
    """A word that may be typed; ``open`` if more of it may follow, so that no space does."""

    word: str
    doc: str = ""
    open: bool = False


@dataclass(frozen=True)
class Completion:
    """The candidates for a word, and whether names of files are candidates, too."""

    candidates: Sequence[CompletionWord] = ()
    paths: FileNames = FileNames.NONE


class NameFinder(Protocol):
    """Finds names of objects; :class:`~ganeti.cli.completion.live_names.LiveNames` does."""

    def find_names(self, kind: str, prefix: str, owner: str = "", of: str = "") -> list[str]: ...


def complete(tool: Tool, words: Sequence[str], current: str, names: NameFinder) -> Completion:
    """Return what ``current`` may become; ``words`` precede it, without the tool.

    All candidates begin with ``current``.
    """
    found, rest = _find_command(tool, words)
    if found is not None:
        completion = _Line(found, rest, names).complete(current)
    elif len(words) <= 1:
        completion = Completion([*_commands(tool, words)])
    else:
        completion = Completion()
    fitting = [each for each in completion.candidates if each.word.startswith(current)]
    return Completion(fitting, completion.paths)


def _find_command(tool: Tool, words: Sequence[str]) -> tuple[Command | None, Sequence[str]]:
    """Return the command that the words begin with, if any, and the words that follow it."""
    for length in (1, 2):
        if len(words) >= length and (found := tool.command(" ".join(words[:length]))):
            return found, words[length:]
    return None, ()


def _commands(tool: Tool, words: Sequence[str]) -> Iterator[CompletionWord]:
    """Yield the next words of the commands that begin with ``words``."""
    seen = set()
    for command in tool.commands:
        for name in () if command.unsupported else (command.name, *command.aliases):
            first, _, second = name.partition(" ")
            word = second if words else first
            if word and word not in seen and (not words or first == words[0]):
                seen.add(word)
                alone = not second or words
                yield CompletionWord(word, described(command) if alone else f"Commands: {word} …")
    if not words:
        yield CompletionWord("--help", "Show the commands.")
        yield CompletionWord("--version", "Show the version.")


@dataclass
class _Given:
    """What the words of a command line have given: options by name, and other arguments."""

    options: dict[str, list[str]] = field(default_factory=dict)
    flags: list[Option] = field(default_factory=list)
    plain: list[str] = field(default_factory=list)
    pending: Option | None = None
    ended: bool = False


class _Line:
    """The command line of one command; ``words`` follow the command and precede the cursor."""

    def __init__(self, command: Command, words: Sequence[str], names: NameFinder) -> None:
        self._command = command
        self._names = names
        self._options = [
            option for option in (*all_options(command), HELP) if not option.unsupported
        ]
        self._by_flag = {flag: option for option in self._options for flag in option.flags}
        self._given = self._read(words)

    def complete(self, current: str) -> Completion:
        given = self._given
        if self._command.unsupported:
            return Completion()
        if given.pending is not None:
            return self._value(given.pending, current)
        if given.ended or not current.startswith("-"):
            found = self._argument(current)
            if found.candidates or found.paths is not FileNames.NONE or given.ended or current:
                return found
            return Completion([*self._flags(long_only=True)])
        flag, assigned, text = current.partition("=")
        if assigned and flag.startswith("--"):
            option = self._option(flag)
            return _prefixed(f"{flag}=", self._value(option, text)) if option else Completion()
        option = self._by_flag.get(current[:2])
        if option is not None and option.kind is not None and current[2:]:
            return _prefixed(current[:2], self._value(option, current[2:]))
        return Completion([*self._flags()])

    def _read(self, words: Sequence[str]) -> _Given:
        """Read the words as :func:`ganeti.cli.options.parse` does, but without any error."""
        given = _Given()
        for word in words:
            if given.pending is not None:
                self._put(given, given.pending, word)
                given.pending = None
            elif given.ended or word == "-" or not word.startswith("-"):
                given.plain.append(word)
                given.ended = given.ended or not self._command.mixed
            elif word == "--":
                given.ended = True
            elif word.startswith("--"):
                flag, assigned, text = word.partition("=")
                self._read_option(given, self._option(flag), text if assigned else None)
            else:
                self._read_letters(given, word[1:])
        return given

    def _read_letters(self, given: _Given, letters: str) -> None:
        for position, letter in enumerate(letters, 1):
            option = self._by_flag.get(f"-{letter}")
            if option is not None and option.kind is not None:
                self._read_option(given, option, letters[position:] or None)
                return
            self._read_option(given, option, None)

    def _read_option(self, given: _Given, option: Option | None, text: str | None) -> None:
        if option is None:
            return
        if option.kind is None:
            self._put(given, option, "")
        elif text is None:
            given.pending = option
        else:
            self._put(given, option, text)

    def _put(self, given: _Given, option: Option, text: str) -> None:
        given.options.setdefault(option.name, []).append(text)
        given.flags.append(option)

    def _option(self, flag: str) -> Option | None:
        """Return the option with this flag, or with the only one that it abbreviates."""
        if flag in self._by_flag:
            return self._by_flag[flag]
        long = [each for each in self._by_flag if each.startswith(flag)]
        return self._by_flag[long[0]] if len(long) == 1 else None

    def _flags(self, *, long_only: bool = False) -> Iterator[CompletionWord]:
        """Yield the flags of the options that may still be given."""
        for option in self._options:
            if option in self._given.flags and not option.many:
                continue
            for flag in option.flags:
                long = flag.startswith("--")
                assigns = long and option.kind is not None
                if long or not long_only or len(option.flags) == 1:
                    yield CompletionWord(f"{flag}=" if assigns else flag, option.doc, open=assigns)

    def _argument(self, current: str) -> Completion:
        """Complete a positional argument."""
        position = len(self._given.plain)
        for declared in self._command.words:
            if declared.most is None or position < declared.most:
                return self._positional(declared, current)
            position -= declared.most
        return Completion()

    def _positional(self, declared: Positional, current: str) -> Completion:
        if declared.choices:
            return _words(declared.choices)
        if declared.new:
            return Completion()
        kind, of = declared.kind, ""
        for option in self._given.flags:
            if option.selects:
                kind, _, of = option.selects.partition(" of ")
        if kind == "tag" and not of:
            first = self._command.words[0]
            of = "cluster" if first is declared else first.kind
        owner = self._owner(declared)
        return self._objects(kind, current, owner=owner, of=of)

    def _owner(self, declared: Positional) -> str:
        """Return the name of the object that those of an argument belong to, if it is given."""
        names = [each.name for each in self._command.words]
        if declared.owner in names and (at := names.index(declared.owner)) < len(self._given.plain):
            return self._given.plain[at]
        return ""

    def _value(self, option: Option, text: str) -> Completion:
        """Complete the value of an option."""
        kind = option.kind
        if kind is None:
            return Completion()
        if kind.choices:
            return _words(kind.choices)
        if kind.name == "bool":
            return _words(_BOOLEANS)
        if kind.keys:
            found = key_words(kind.keys, text, bool(kind.name == "identkeyval"))
            return Completion([CompletionWord(word, open=more) for word, more in found])
        wanted = (option.metavar or kind.metavar).lower()
        if wanted == _PAIR:
            before, colon, last = text.rpartition(":")
            return _prefixed(before + colon, self._objects("node", last), unfinished=not colon)
        if wanted.startswith("fields|"):
            before, comma, last = text.rpartition(",")
            return _prefixed(before + comma, self._columns(wanted, last, alone=not comma))
        if kind.name == "list":
            before, comma, last = text.rpartition(",")
            items = self._objects(wanted.removesuffix(",…"), last)
            if kind.items:
                items = _words(kind.items)
            return _prefixed(before + comma, items, unfinished=True)
        return self._objects(wanted, text, of="instance" if wanted == "tag" else "")

    def _columns(self, metavar: str, prefix: str, *, alone: bool) -> Completion:
        formats = metavar.split("|")[1:] if alone else ()
        sign = "+" if alone and prefix.startswith("+") else ""
        found = self._objects("field", prefix.removeprefix(sign))
        candidates = [CompletionWord(sign + each.word, open=True) for each in found.candidates]
        return Completion([*map(CompletionWord, formats), *candidates])

    def _objects(self, kind: str, prefix: str, *, owner: str = "", of: str = "") -> Completion:
        if kind in _PATHS:
            return Completion(paths=_PATHS[kind])
        if kind == "field":
            owner = self._command.listed
        found = []
        for each in kind.split("|"):
            found += self._names.find_names(each, prefix, owner, of)
        return _words(found)


_PATHS = {"file": FileNames.FILES, "dir": FileNames.FOLDERS, "folder": FileNames.FOLDERS}
"""Kinds of words that name files of the host on which the tool runs."""


def _words(words: Iterable[str]) -> Completion:
    return Completion([CompletionWord(word) for word in words])


def _prefixed(prefix: str, found: Completion, *, unfinished: bool = False) -> Completion:
    """Return candidates with the part of the word in front of them that is already complete."""
    candidates = [
        CompletionWord(prefix + each.word, each.doc, each.open or unfinished)
        for each in found.candidates
    ]
    return Completion(candidates, found.paths)
