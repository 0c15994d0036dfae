# SPDX-License-Identifier: BSD-2-Clause
"""Queries about the cluster, answered without locks and jobs, from memory where possible."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Failed, Invalid, Refused
from ganeti.jobs.job import Job
from ganeti.locking.table import LockRow
from ganeti.master.cluster_info import ClusterInfo
from ganeti.master.node_queries import SharedQuery
from ganeti.master.node_status_cache import NodeStatusCache
from ganeti.master.time_slices import SlicedTask, TimeSlices
from ganeti.model.node import Node
from ganeti.opcodes.tags import TagKind
from ganeti.operations.guests import make_guest
from ganeti.operations.tags import find_tagged_object
from ganeti.query.fields import Source, Table
from ganeti.query.filters import Filter, compile_filter
from ganeti.rpc.call import Nodes
from ganeti.rpc.instances import DescribeConsole
from ganeti.rpc.node import DescribeOSes, OSDefinitionReport
from ganeti.rpc.transfers import ListExports
from ganeti.views import cluster, exports, extstorage, oses
from ganeti.views.instances.objects import InstanceObjects
from ganeti.views.job_objects import JobObjects
from ganeti.views.jobs import JOBS, JobRow
from ganeti.views.node_status import StatusCache
from ganeti.views.objects import CachedList, objects
from ganeti.views.registry import ROWS, TABLES
from ganeti.views.snapshot import ClusterSnapshot

K = TypeVar("K")
R = TypeVar("R")

_encode = msgspec.json.Encoder().encode

MAX_COLUMNS = 1000
"""Maximum number of fields in a query; no kind of object has as many."""

MAX_CELLS = 2_500_000
"""Maximum number of values in an answer; each takes about 50 bytes until it is sent."""

STEPS_PER_FILE = 50
"""Cost of reading a file, in steps; a step is about one comparison."""

MAX_CACHED_FIELD_LISTS = 8
"""Maximum number of field lists for which encoded objects are cached."""


class Jobs(Protocol):
    """The jobs that can be asked about."""

    @property
    def drained(self) -> bool: ...
    def jobs(self) -> list[Job]: ...
    def find(self, job_id: int) -> Job | None: ...
    def archived(self, job_id: int) -> Job | None: ...


class Queries:
    """Answers queries about the cluster."""

    def __init__(
        self,
        *,
        state: Callable[[], ClusterState],
        live: NodeStatusCache,
        nodes: Nodes,
        queue: Jobs,
        locks: Callable[[], Sequence[LockRow]],
        watcher_pause: Callable[[], float | None],
        slices: TimeSlices,
        release: str,
        machine: str,
    ) -> None:
        """``machine`` is the processor type as printed by ``uname -m``."""
        self._state = state
        self._live = live
        self._watch = StatusCache(live)
        self._nodes = nodes
        self._queue = queue
        self._locks = locks
        self._watcher_pause = watcher_pause
        self._slices = slices
        self._release = release
        self._machine = machine
        self._definitions = SharedQuery(self._query_os_definitions)
        self._exported = SharedQuery(self._query_node_exports)
        self._info = ClusterInfo(release, machine)
        self._instances_kept = _EncoderCache(InstanceObjects)
        self._jobs_kept = _EncoderCache(JobObjects)
        self._lists_kept = {
            what: _EncoderCache(partial(CachedList[Any], TABLES[what], rows))
            for what, rows in ROWS.items()
        }
        self._makers: Mapping[str, Callable[..., Awaitable[Sequence[Any]]]] = {
            "job": self._make_job_rows,
            "lock": self._make_lock_rows,
            "os": self._make_os_rows,
            "export": self._make_export_rows,
            "extstorage": self._make_provider_rows,
            "cluster": self._make_cluster_rows,
        }

    # --- LUXI methods

    async def query(self, what: str, fields: Sequence[str], qfilter: Any = None) -> dict[str, Any]:
        """Return rows with a status for each value: ``{"fields": …, "data": …}``, data encoded.

        Long queries run in time slices.

        :raises Refused: the query takes too long or has too many values.
        """
        table = _get_table(what)
        if len(fields) > MAX_COLUMNS:
            raise Refused(f"a query may have at most {MAX_COLUMNS} fields", Code.INPUT)
        task = self._slices.task(f"the query for {what} objects")
        rows = await self._select_rows(what, table, fields, compile_filter(table, qfilter), task)
        if len(rows) * len(fields) > MAX_CELLS:
            raise Refused(
                f"{len(rows)} objects with {len(fields)} fields exceed the limit of {MAX_CELLS}"
                " values; query fewer objects or fields at once",
                Code.RESOURCES,
            )
        cells = table.cells(fields)
        # Row by row: encoding a long list in one step would block the reactor.
        data = await task.map(lambda row: _encode(cells(row)), rows, steps=len(fields))
        return {
            "fields": table.definitions(fields),
            "data": msgspec.Raw(b"[%b]" % b",".join(data)),
        }

    async def fields(self, what: str, names: Sequence[str] | None = None) -> dict[str, Any]:
        """Return the definitions of fields."""
        return {"fields": _get_table(what).definitions(names)}

    async def objects(
        self, what: str, fields: Sequence[str], names: Sequence[str] | None = None
    ) -> msgspec.Raw:
        """Return encoded objects ``{field: value}``; unchanged objects are not encoded again."""
        table = _get_table(what)
        if what == "job" and names is None:
            return msgspec.Raw(self._jobs_kept.of(tuple(fields)).everything(self._queue.jobs()))
        moment = await self._take_snapshot(what, table, fields)
        if what == "instance":
            encoder = self._instances_kept.of(tuple(fields))
            encoded = encoder.everything(moment) if names is None else encoder.some(moment, names)
            return msgspec.Raw(encoded)
        if what in self._lists_kept and names is None:
            return msgspec.Raw(self._lists_kept[what].of(tuple(fields)).everything(moment))
        rows = await self._make_rows(what, moment, fields, names)
        return msgspec.Raw(objects(table, fields, rows))

    def plain(self, what: str) -> Callable[..., Awaitable[list[list[Any]]]]:
        """Return the function that answers an older query, with rows of bare values."""

        async def answer(names: Sequence[str], fields: Sequence[str]) -> list[list[Any]]:
            return await self.rows(what, names, fields)

        return answer

    async def rows(self, what: str, names: Sequence[str], fields: Sequence[str]) -> list[list[Any]]:
        """Return rows of bare values; without names, of all objects.

        :raises Invalid: a field is unknown.
        """
        table = _get_table(what)
        table.known(fields)
        moment = await self._take_snapshot(what, table, fields)
        return table.plain(fields, await self._make_rows(what, moment, fields, names or None))

    async def jobs(self, ids: Sequence[int] | None, fields: Sequence[str]) -> list[list[Any]]:
        """Return jobs as rows of bare values; the row of a missing job has only its id."""
        JOBS.known(fields)
        return JOBS.plain(fields, self._job_rows(ids or None, archived=bool(ids)))

    async def exports(self, nodes: Sequence[str]) -> list[list[Any]]:
        """Return exports as rows of node and name."""
        return await self.rows("export", nodes, ("node", "export"))

    async def filters(self, uuids: Sequence[str] | None, fields: Sequence[str]) -> list[list[Any]]:
        """Return job filters as rows of bare values."""
        return await self.rows("filter", uuids or (), fields)

    async def tags(self, kind: str, name: str | None = None) -> list[str]:
        """Return the tags of an object."""
        try:
            known = TagKind(kind)
        except ValueError:
            raise Invalid(f"a {kind} has no tags; use one of {', '.join(TagKind)}") from None
        return list(find_tagged_object(known, name, self._state())[0].tags)

    async def cluster_info(self) -> msgspec.Raw:
        """Return the cluster information, encoded."""
        return self._info.encoded(self._state())

    async def config_values(self, names: Sequence[str]) -> list[Any]:
        """Return single values; null for unknown names."""
        return [self._config_value(name) for name in names]

    def _config_value(self, name: str) -> Any:
        match name:
            case "master_node":
                return self._state().master.name
            case "drain_flag":
                return self._queue.drained
            case "watcher_pause":
                return self._watcher_pause()
            case "authority_replacement_due":
                known = self._state().authorities
                return known is not None and known.must_be_replaced
            case "cluster_name" | "modify_ssh_setup" | "ssh_key_type" | "ssh_key_bits":
                return getattr(self._state().cluster, name)
        return None

    # --- rows

    async def _select_rows(
        self,
        what: str,
        table: Table[Any],
        fields: Sequence[str],
        chosen: Filter[Any],
        task: SlicedTask,
    ) -> Sequence[Any]:
        needed = [*fields, *chosen.fields]
        moment = await self._take_snapshot(what, table, needed)
        names = chosen.names if what in ROWS or what == "job" else None
        rows: Sequence[Any]
        if what == "job" and names is not None:
            # Each archived job is a file to read.
            ids = list(map(int, names))
            rows = await task.map(
                lambda number: self._job_row(number, True), ids, steps=STEPS_PER_FILE
            )
        else:
            rows = await self._make_rows(what, moment, needed, names)
        return await task.filter(chosen.matches, rows, steps=1 + chosen.conditions)

    async def _take_snapshot(
        self, what: str, table: Table[Any], fields: Iterable[str]
    ) -> ClusterSnapshot:
        sources = table.sources(fields)
        if Source.NODES in sources or Source.CONSOLES in sources:
            await self._live.refresh(list(self._state().nodes.values()))
        state = self._state()
        consoles = await self._query_consoles(state) if Source.CONSOLES in sources else {}
        return ClusterSnapshot(state, self._watch.now(state.nodes), consoles)

    async def _make_rows(
        self, what: str, moment: ClusterSnapshot, fields: Sequence[str], names: Sequence[Any] | None
    ) -> Sequence[Any]:
        if what in ROWS:
            return ROWS[what](moment, names)
        return await self._makers[what](moment, fields, names)

    async def _make_job_rows(
        self, moment: ClusterSnapshot, fields: Sequence[str], names: Sequence[Any] | None
    ) -> list[JobRow]:
        return self._job_rows(names, archived="archived" in fields or names is not None)

    def _job_rows(self, ids: Sequence[Any] | None, *, archived: bool) -> list[JobRow]:
        if ids is None:
            return [JobRow.of(job) for job in self._queue.jobs()]
        return [self._job_row(int(number), archived) for number in ids]

    def _job_row(self, number: int, archived: bool) -> JobRow:
        job = self._queue.find(number)
        if job is not None:
            return JobRow.of(job)
        old = self._queue.archived(number) if archived else None
        return JobRow(number, None) if old is None else JobRow.of(old, archived=True)

    async def _make_lock_rows(
        self, moment: ClusterSnapshot, fields: Sequence[str], names: Sequence[Any] | None
    ) -> Sequence[LockRow]:
        return self._locks()

    async def _make_os_rows(
        self, moment: ClusterSnapshot, fields: Sequence[str], names: Sequence[Any] | None
    ) -> Sequence[oses.OSRow]:
        found = oses.rows(moment, await self._definitions.answer())
        return [row for row in found if names is None or row.name in names]

    async def _query_os_definitions(self) -> Mapping[str, Sequence[OSDefinitionReport] | None]:
        nodes = self._state().nodes
        hosts = [node for node in nodes.values() if node.vm_capable and not node.offline]
        found = await self._nodes.ask_all(hosts, DescribeOSes())
        return {nodes[uuid].name: answer for uuid, answer in _drop_failures(found).items()}

    async def _make_export_rows(
        self, moment: ClusterSnapshot, fields: Sequence[str], names: Sequence[Any] | None
    ) -> Sequence[Any]:
        answers = await self._exported.answer()
        by_node = {node.uuid: answers.get(node.uuid) for node in moment.nodes.values()}
        return [row for row in exports.rows(moment, by_node) if names is None or row.node in names]

    async def _query_node_exports(self) -> Mapping[str, Sequence[str] | None]:
        hosts = [node for node in self._state().nodes.values() if not node.offline]
        return _drop_failures(await self._nodes.ask_all(hosts, ListExports()))

    async def _make_provider_rows(
        self, moment: ClusterSnapshot, fields: Sequence[str], names: Sequence[Any] | None
    ) -> Sequence[Any]:
        return extstorage.rows(moment, {})

    async def _make_cluster_rows(
        self, moment: ClusterSnapshot, fields: Sequence[str], names: Sequence[Any] | None
    ) -> Sequence[cluster.ClusterRow]:
        return [
            cluster.ClusterRow(
                moment,
                self._queue.drained,
                self._watcher_pause(),
                self._release,
                ("64bit", self._machine),
            )
        ]

    async def _query_consoles(self, state: ClusterState) -> dict[str, Mapping[str, Any]]:
        """Return the console parameters of running instances, by UUID, as far as nodes answer."""
        found: dict[str, Mapping[str, Any]] = {}
        for instance in state.instances.values():
            node: Node = state.nodes[instance.primary_node]
            facts = self._live.facts(node.uuid)
            if facts is None or instance.name not in facts.guests:
                continue
            try:
                asked = DescribeConsole(guest=make_guest(state, instance))
                found[instance.uuid] = msgspec.to_builtins(await self._nodes.ask(node, asked))
            except Failed:
                continue
        return found


def _drop_failures(answers: Mapping[str, R | Failed]) -> dict[str, R | None]:
    return {
        uuid: None if isinstance(answer, Failed) else answer for uuid, answer in answers.items()
    }


def _get_table(what: str) -> Table[Any]:
    if what not in TABLES:
        known = ", ".join(sorted(TABLES))
        raise Refused(f"unknown kind {what}; known kinds: {known}", Code.INPUT)
    return TABLES[what]


class _EncoderCache(Generic[K]):
    """A cache of encoders of objects, one for each recently used list of fields."""

    def __init__(self, make: Callable[[Sequence[str]], K]) -> None:
        self._make = make
        self._kept: dict[tuple[str, ...], K] = {}

    def of(self, fields: tuple[str, ...]) -> K:
        """Return the encoder for a list of fields.

        :raises Invalid: a field is unknown.
        """
        encoder = self._kept.get(fields)
        if encoder is None:
            encoder = self._make(fields)
            if len(self._kept) >= MAX_CACHED_FIELD_LISTS:
                del self._kept[next(iter(self._kept))]
            self._kept[fields] = encoder
        return encoder
