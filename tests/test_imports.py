# SPDX-License-Identifier: BSD-2-Clause
"""Which package may import which, who may import Twisted, and what is imported late."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).parent.parent / "ganeti"

MAY_IMPORT = {
    "errors": "",
    "paths": "",
    "schema": "errors",
    "locking": "errors",
    "system": "errors",
    "model": "errors schema",
    "events": "errors",
    "metrics": "schema",
    "opcodes": "errors schema model",
    "query": "errors schema",
    "journal": "errors schema system metrics",
    "config": "errors schema model journal",
    "access": "errors schema model config opcodes",
    "jobs": "errors schema opcodes locking journal",
    "pki": "errors system",
    "web": "",
    "rpc": "errors schema model web",
    "placement": "errors schema model config",
    "operations": "access errors schema model opcodes locking config placement pki rpc journal"
    " paths events",
    "views": "errors schema model query config locking jobs opcodes",
    "luxi": "errors schema model opcodes query",
    "master": "access errors schema model opcodes query config locking jobs journal operations"
    " placement views rpc luxi system pki events metrics upkeep",
    "hypervisor": "errors schema model system",
    "storage": "errors schema model system",
    "repository": "errors schema model system",
    "node": "errors schema model journal pki rpc web hypervisor storage system paths metrics"
    " repository",
    "rapi": "access errors schema model opcodes query luxi web events metrics",
    "bootstrap": "errors schema model config jobs journal pki rpc storage system paths",
    "upkeep": "errors schema opcodes luxi bootstrap system paths",
    "cli": "access errors schema model opcodes query luxi bootstrap paths",
}
FREE = {"daemon": {"cli", "testing"}, "testing": {"cli", "daemon"}}
WITHOUT_TWISTED = (
    {"cli", "opcodes", "query", "schema", "model", "errors", "paths"}
    | {f"luxi.{name}" for name in ("client", "framing", "methods", "unreachable")}
    | {"rapi.client"}
)

DAEMON = "the process that only waits for the daemon to start does not need it"
CRYPTOGRAPHY = "the cryptography library takes long to load, and is rarely needed here"
FORWARDED = "only the master forwards requests"
MISSPELT = "only needed for misspelt words"
LATE: Mapping[tuple[str, str], str] = {
    ("cli.help", "difflib"): MISSPELT,
    ("cli.options", "difflib"): MISSPELT,
    ("cli.program", "ganeti.luxi.client"): "needed when the master is first asked",
    ("cli.program", "getpass"): "only needed for passwords",
    ("cli.program", "socket"): "only needed on nodes that are not the master",
    (
        "daemon.node_services.hypervisors",
        "ganeti.hypervisor.kvm.accelerator",
    ): "an entry of a table",
    ("daemon.node_services.hypervisors", "ganeti.hypervisor.kvm.driver"): "an entry of a table",
    (
        "daemon.node_services.hypervisors",
        "ganeti.hypervisor.kvm.guest_agent",
    ): "an entry of a table",
    ("daemon.node_services.hypervisors", "ganeti.hypervisor.kvm.monitor"): "an entry of a table",
    (
        "daemon.node_services.hypervisors",
        "twisted.internet.endpoints",
    ): "takes megabytes before any guest runs",
    ("daemon.masterd", "ganeti.daemon.master_services.start"): DAEMON,
    (
        "daemon.node_services.master_forwarder",
        "ganeti.luxi.async_client",
    ): "only the master forwards requests",
    (
        "daemon.node_services.master_forwarder",
        "ganeti.luxi.methods",
    ): "only the master forwards requests",
    (
        "daemon.node_services.master_forwarder",
        "ganeti.luxi.unreachable",
    ): "only the master forwards requests",
    ("daemon.noded", "ganeti.bootstrap.guest_shutdown"): "only needed when the host shuts down",
    ("daemon.noded", "ganeti.bootstrap.join_cluster"): "only needed once, with --join",
    ("daemon.noded", "ganeti.daemon.node_services.start"): DAEMON,
    ("daemon.watchdogd", "ganeti.daemon.watchdog_services"): DAEMON,
    ("luxi.methods", "ganeti.opcodes.registry"): "only the master reads requests",
    ("master.master", "ganeti.operations.registry"): "a quarter of the code, needed by jobs only",
    ("metrics.exposition", "prometheus_client"): "few daemons are asked for metrics",
    ("metrics.exposition", "prometheus_client.core"): "few daemons are asked for metrics",
    ("model.parameters.parsing", "difflib"): MISSPELT,
    ("node.keys", "ganeti.pki.authority"): CRYPTOGRAPHY,
    ("node.seed_volume", "pycdlib"): "takes megabytes before the first guest that needs it",
    ("opcodes.network", "ipaddress"): "only opcodes for networks need it",
    ("opcodes.writing", "ganeti.schema.parameters"): "tools that only send opcodes do not need it",
    (
        "operations.perform",
        "ganeti.operations.explain",
    ): "loads every operation, for the first plan",
    ("pki.issuing", "ganeti.pki.authority"): "the master runs this module as another program",
    ("query.list_arguments", "ganeti.query.filters"): "most commands are given plain names",
    ("query.list_arguments", "ganeti.query.filter_parser"): "most commands are given plain names",
    ("query.filters", "ganeti.schema.patterns"): "tools parse filters, but never search",
    ("repository.chunk_format", "cryptography.exceptions"): CRYPTOGRAPHY,
    (
        "repository.chunk_format",
        "cryptography.hazmat.primitives.ciphers.aead",
    ): CRYPTOGRAPHY,
    ("schema.shell", "shlex"): "rarely needed, by modules that tools load",
    ("system.files", "shutil"): "imports all compression modules for a rare call",
    ("upkeep.cleaner", "cryptography.x509"): CRYPTOGRAPHY,
}
"""Imports inside functions, and why. Tools load the code of a command by ``LazyModule``."""


def modules() -> Iterator[tuple[str, list[str], Path]]:
    """The name below ``ganeti`` of every module, and what it imports."""
    for path in sorted(ROOT.rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        imported: list[str] = []
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.append(node.module)
                imported += [f"{node.module}.{alias.name}" for alias in node.names]
        yield name, imported, path


@dataclass(frozen=True)
class Import:
    """An import of ``target`` by ``source``; both without the name of the distribution."""

    source: str
    target: str
    late: bool = False
    """Whether it is made by a function, and not when ``source`` is imported."""
    lazy: bool = False
    """Whether it is made by a ``LazyModule``."""


def imports_of(source: str, tree: ast.AST, *, late: bool = False) -> Iterator[Import]:
    """Yield the imports that are made when the code runs; the type checker's are not."""
    for node in ast.iter_child_nodes(tree):
        match node:
            case ast.If(ast.Name("TYPE_CHECKING"), orelse=otherwise):
                yield from imports_of(source, ast.Module(otherwise, []), late=late)
            case ast.Import(names):
                yield from (Import(source, each.name, late) for each in names)
            case ast.ImportFrom(module=str(module), names=names):
                for each in names:
                    inner = f"{module}.{each.name}"
                    yield Import(source, inner if _is_module(inner) else module, late)
            case ast.Call(ast.Name("LazyModule"), [ast.Constant(str(name))]):
                yield Import(source, name, lazy=True)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
                yield from imports_of(source, node, late=True)
            case _:
                yield from imports_of(source, node, late=late)


@cache
def _is_module(name: str) -> bool:
    path = ROOT.parent.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


@cache
def all_imports() -> Sequence[Import]:
    """Return the imports of all modules, with full names."""
    return [
        each
        for name, _, path in modules()
        for each in imports_of(
            f"ganeti.{name}".removesuffix(".__init__"), ast.parse(path.read_text())
        )
    ]


def reached(start: Iterable[str], graph: Mapping[str, Set[str]]) -> set[str]:
    """Return all modules that these import, and so on."""
    found: set[str] = set()
    waiting = list(start)
    while waiting:
        for target in graph.get(waiting.pop(), set()) - found:
            found.add(target)
            waiting.append(target)
    return found


class GraphTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.graph: dict[str, set[str]] = {}
        for each in all_imports():
            self.graph.setdefault(each.source, set()).add(each.target)

    def test_no_module_imports_itself_by_way_of_others(self) -> None:
        circles = sorted(name for name in self.graph if name in reached([name], self.graph))
        self.assertEqual(circles, [])

    def test_no_code_of_a_tool_reaches_twisted(self) -> None:
        tools = [name for name in self.graph if name.startswith("ganeti.cli.")]
        foreign = {name for name in reached(tools, self.graph) if name.startswith("twisted")}
        self.assertEqual(foreign, set())

    def test_an_import_inside_a_function_has_a_reason(self) -> None:
        late = {
            (each.source.removeprefix("ganeti."), each.target)
            for each in all_imports()
            if each.late
        }
        self.assertEqual(late ^ LATE.keys(), set())

    def test_a_circle_is_found_through_late_imports_too(self) -> None:
        text = "def act():\n    import b\n\nif TYPE_CHECKING:\n    import c\n"
        self.assertEqual(list(imports_of("a", ast.parse(text))), [Import("a", "b", late=True)])
        self.assertIn("a", reached(["a"], {"a": {"b"}, "b": {"a"}}))


class ImportTests(SynchronousTestCase):
    def test_packages_import_what_the_table_allows(self) -> None:
        wrong = []
        for name, imported, _ in modules():
            package = name.split(".")[0]
            for target in {each.split(".")[1] for each in imported if each.startswith("ganeti.")}:
                if target in (package, "__version__", "_configured"):
                    continue
                if package in FREE:
                    allowed = target not in FREE[package]
                else:
                    allowed = target in MAY_IMPORT.get(package, "").split()
                if not allowed and package != "__init__":
                    wrong.append(f"{name} imports {target}")
        self.assertEqual(wrong, [])

    def test_the_tools_do_not_import_twisted(self) -> None:
        wrong = [
            name
            for name, imported, _ in modules()
            if (name.split(".")[0] in WITHOUT_TWISTED or name in WITHOUT_TWISTED)
            and any(each.split(".")[0] == "twisted" for each in imported)
        ]
        self.assertEqual(wrong, [])

    def test_the_reactor_is_imported_by_daemons_only(self) -> None:
        wrong = [
            name
            for name, imported, _ in modules()
            if not name.startswith("daemon.") and "twisted.internet.reactor" in imported
        ]
        self.assertEqual(wrong, [])

    def test_whoever_decodes_expects_all_that_decoding_raises(self) -> None:
        # The error of msgspec alone misses a RecursionError: see UNREADABLE. A token is bounded.
        free = {"schema.documents", "pki.enrolment"}
        wrong = [
            name
            for name, _, path in modules()
            if "msgspec.DecodeError" in path.read_text() and name not in free
        ]
        self.assertEqual(wrong, [])

    def test_every_directory_of_tests_is_a_package(self) -> None:
        # Trial does not look for tests in a directory without it.
        tests = Path(__file__).parent
        missing = {
            str(path.parent.relative_to(tests))
            for path in tests.rglob("test_*.py")
            if not (path.parent / "__init__.py").exists()
        }
        self.assertEqual(missing, set())

    def test_every_module_names_its_licence(self) -> None:
        wrong = [
            name
            for name, _, path in modules()
            if not path.read_text().startswith("# SPDX-License-Identifier: BSD-2-Clause\n")
        ]
        self.assertEqual(wrong, [])
