# SPDX-License-Identifier: BSD-2-Clause
"""Queries about the cluster, answered without locks and jobs, from memory where possible."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import msgspec

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Failed, Invalid, Refused
from ganeti.jobs.job import Job
from ganeti.locking.lock_table import LockRow
from ganeti.master.cluster_info import ClusterInfo
from ganeti.master.content_tags import ContentTags
from ganeti.master.node_queries import SharedQuery
from ganeti.master.node_status_cache import NodeStatusCache
from ganeti.master.object_pages import ObjectPages
from ganeti.master.time_slices import SlicedTask, TimeSlices
from ganeti.model.node import Node
from ganeti.opcodes.tags import TagKind
from ganeti.operations.guest_conversion import make_guest
from ganeti.operations.tags import find_tagged_object
from ganeti.query.fields import Source, Table
from ganeti.query.filters import Filter, compile_filter
from ganeti.rpc.call import Nodes
from ganeti.rpc.instances import DescribeConsole
from ganeti.rpc.node import DescribeOSes, OSDefinitionReport
from ganeti.rpc.storage import DescribeProviders, ProviderReport
from ganeti.rpc.transfers import ListExports
from ganeti.views import cluster, exports, extstorage, oses
from ganeti.views.instances.instance_lists import InstanceCells, InstanceObjects, InstanceTexts
from ganeti.views.instances.order import InstanceOrder
from ganeti.views.instances.row import InstanceRow
from ganeti.views.job_objects import JobObjects
from ganeti.views.jobs import JOBS, JobRow
from ganeti.views.json_rows import CachedList, object_encoder, objects
from ganeti.views.node_status import StatusCache
from ganeti.views.registry import ROWS, TABLES
from ganeti.views.snapshot import ClusterSnapshot

K = TypeVar("K")
R = TypeVar("R")
# Objects have names or UUIDs, jobs have numbers; the kind of a query decides.
ObjectNames: TypeAlias = Sequence[Any]

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
    def find_job(self, job_id: int) -> Job | None: ...
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
        tag_prefix: Callable[[], str] = lambda: "",
    ) -> None:
        """``machine`` is the processor type as printed by ``uname -m``.

        ``tag_prefix`` returns what distinguishes the tags of its lists from those of others.
        """
        self._tags = ContentTags(tag_prefix)
        self._pages = ObjectPages(tag_prefix)
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
        self._providers = SharedQuery(self._query_providers)
        self._exported = SharedQuery(self._query_node_exports)
        self._info = ClusterInfo(release, machine)
        self._order = InstanceOrder()
        self._instances_kept = _EncoderCache(partial(InstanceObjects, order=self._order))
        self._cells_kept = _EncoderCache(partial(InstanceCells, order=self._order))
        self._jobs_kept = _EncoderCache(JobObjects)
        self._lists_kept = {
            what: _EncoderCache(partial(CachedList[object], TABLES[what], rows))
            for what, rows in ROWS.items()
        }
        self._makers: Mapping[str, Callable[..., Awaitable[Sequence[object]]]] = {
            "job": self._make_job_rows,
            "lock": self._make_lock_rows,
            "os": self._make_os_rows,
            "export": self._make_export_rows,
            "extstorage": self._make_provider_rows,
            "cluster": self._make_cluster_rows,
        }

    # --- LUXI methods

    async def query(
        self, what: str, fields: Sequence[str], qfilter: object = None
    ) -> dict[str, object]:
        """Return rows with a status for each value: ``{"fields": …, "data": …}``, data encoded.

        Long queries run in time slices.

        :raises Refused: the query takes too long or has too many values.
        """
        table = _get_table(what)
        if len(fields) > MAX_COLUMNS:
            raise Refused(f"a query may have at most {MAX_COLUMNS} fields", Code.INPUT)
        task = self._slices.task(f"the query for {what} objects")
        # Consoles are queried each time, so that their values are not cached.
        if what == "instance" and qfilter is None and not _needs_consoles(table, fields):
            return await self._query_instances(table, fields, task)
        rows = await self._select_rows(what, table, fields, compile_filter(table, qfilter), task)
        _check_size(len(rows), fields)
        cells = table.cells(fields)
        # Row by row: encoding a long list in one step would block the reactor.
        data = await task.map(lambda row: _encode(cells(row)), rows, steps=len(fields))
        return {
            "fields": table.definitions(fields),
            "data": msgspec.Raw(b"[%b]" % b",".join(data)),
        }

    async def _query_instances(
        self, table: Table[object], fields: Sequence[str], task: SlicedTask
    ) -> dict[str, object]:
        """Return all instances; those that have not changed are not encoded again."""
        moment = await self._take_snapshot("instance", table, fields)
        _check_size(len(moment.state.instances), fields)
        texts = self._cells_kept.of(tuple(fields))
        await _update_list(texts, moment, task, fields)
        return {"fields": table.definitions(fields), "data": msgspec.Raw(texts.join(moment))}

    async def fields(self, what: str, names: Sequence[str] | None = None) -> dict[str, object]:
        """Return the definitions of fields."""
        return {"fields": _get_table(what).definitions(names)}

    async def objects(
        self,
        what: str,
        fields: Sequence[str],
        names: Sequence[str] | None = None,
        known: Sequence[str] | None = None,
    ) -> msgspec.Raw:
        """Return encoded objects ``{field: value}``; unchanged objects are not encoded again.

        With ``known``, they have a tag, and are omitted if it is one of those.
        """
        encoded = await self._encode_objects(what, fields, names)
        if known is None:
            return msgspec.Raw(encoded)
        tag = self._tags.tag_of((what, *fields, *(names or ())), encoded)
        content = b"null" if tag in known else encoded
        return msgspec.Raw(b'{"tag":"%b","objects":%b}' % (tag.encode(), content))

    async def pages(
        self,
        what: str,
        fields: Sequence[str],
        known: Sequence[str] = (),
        tag: str = "",
        page: int = 0,
    ) -> msgspec.Raw:
        """Return the first page of all objects of a kind, or another ``page`` of those of a tag.

        Unchanged objects are not encoded again, and no list is put together.

        :raises Refused: the list of the tag is not kept any more.
        """
        if tag:
            return msgspec.Raw(b'{"objects":%b}' % self._pages.page(tag, page))
        version = self._pages.newest((what, *fields), await self._encode_texts(what, fields))
        objects = b"null" if version.tag in known else version.page(0)
        numbers = version.tag.encode(), version.size, version.pages
        return msgspec.Raw(b'{"tag":"%b","size":%d,"pages":%d,"objects":%b}' % (*numbers, objects))

    async def _encode_texts(self, what: str, fields: Sequence[str]) -> Sequence[bytes]:
        """Return all objects of a kind, each encoded."""
        table = _get_table(what)
        if what == "job":
            return self._jobs_kept.of(tuple(fields)).texts(self._queue.jobs())
        moment = await self._take_snapshot(what, table, fields)
        if what == "instance" and not _needs_consoles(table, fields):
            texts = self._instances_kept.of(tuple(fields))
            await _update_list(texts, moment, self._slices.task("the list of instances"), fields)
            return texts.texts(moment)
        if what in self._lists_kept:
            return self._lists_kept[what].of(tuple(fields)).texts(moment)
        rows = await self._make_rows(what, moment, fields, None)
        return list(map(object_encoder(table, fields), rows))

    async def _encode_objects(
        self, what: str, fields: Sequence[str], names: Sequence[str] | None
    ) -> bytes:
        table = _get_table(what)
        if what == "job" and names is None:
            return self._jobs_kept.of(tuple(fields)).everything(self._queue.jobs())
        moment = await self._take_snapshot(what, table, fields, names)
        if what == "instance" and not _needs_consoles(table, fields):
            texts = self._instances_kept.of(tuple(fields))
            if names is not None:
                return texts.some(moment, names)
            task = self._slices.task("the list of instances")
            await _update_list(texts, moment, task, fields)
            return texts.join(moment)
        if what in self._lists_kept and names is None:
            return self._lists_kept[what].of(tuple(fields)).everything(moment)
        rows = await self._make_rows(what, moment, fields, names)
        return objects(table, fields, rows)

    def plain(self, what: str) -> Callable[..., Awaitable[list[list[object]]]]:
        """Return the function that answers an older query, with rows of bare values."""

        async def answer(names: Sequence[str], fields: Sequence[str]) -> list[list[object]]:
            return await self.rows(what, names, fields)

        return answer

    async def rows(
        self, what: str, names: Sequence[str], fields: Sequence[str]
    ) -> list[list[object]]:
        """Return rows of bare values; without names, of all objects.

        :raises Invalid: a field is unknown.
        """
        table = _get_table(what)
        table.known(fields)
        moment = await self._take_snapshot(what, table, fields, names or None)
        rows = await self._make_rows(what, moment, fields, names or None)
        task = self._slices.task(f"the query for {what} objects")
        return await task.map(table.plain_row(fields), rows, steps=len(fields))

    async def jobs(self, ids: Sequence[int] | None, fields: Sequence[str]) -> list[list[object]]:
        """Return jobs as rows of bare values; the row of a missing job has only its id."""
        JOBS.known(fields)
        return JOBS.plain(fields, self._job_rows(ids or None, archived=bool(ids)))

    async def exports(self, nodes: Sequence[str]) -> list[list[object]]:
        """Return exports as rows of node and name."""
        return await self.rows("export", nodes, ("node", "export"))

    async def filters(
        self, uuids: Sequence[str] | None, fields: Sequence[str]
    ) -> list[list[object]]:
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

    async def config_values(self, names: Sequence[str]) -> list[object]:
        """Return single values; null for unknown names."""
        return [self._config_value(name) for name in names]

    def _config_value(self, name: str) -> object:
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
        table: Table[object],
        fields: Sequence[str],
        chosen: Filter[object],
        task: SlicedTask,
    ) -> Sequence[object]:
        needed = [*fields, *chosen.fields]
        names = chosen.names if what in ROWS or what == "job" else None
        moment = await self._take_snapshot(what, table, needed, names)
        rows: Sequence[object]
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
        self,
        what: str,
        table: Table[object],
        fields: Iterable[str],
        names: ObjectNames | None = None,
    ) -> ClusterSnapshot:
        sources = table.sources(fields)
        if what == "instance" and names is not None and Source.NODES in sources:
            await self._refresh_for(names)
        elif Source.NODES in sources or Source.CONSOLES in sources:
            await self._live.refresh(list(self._state().nodes.values()))
        state = self._state()
        consoles = await self._query_consoles(state) if Source.CONSOLES in sources else {}
        return ClusterSnapshot(state, self._watch.now(state.nodes), consoles)

    async def _refresh_for(self, names: Sequence[str]) -> None:
        """Refresh what is known of the nodes of these instances.

        An instance that does not run on its primary node may run on any other. That is known well
        enough for some seconds: a job that moves it invalidates the answer of its primary node.

        :raises Refused: one of the instances does not exist.
        """
        state = self._state()
        instances = [state.instance(name) for name in names]
        primaries = dict.fromkeys(instance.primary_node for instance in instances)
        await self._live.refresh([state.nodes[uuid] for uuid in primaries])
        for instance in instances:
            facts = self._live.facts(instance.primary_node)
            if facts is None or instance.name not in facts.guests:
                await self._live.refresh(list(state.nodes.values()), changed=False)
                return

    async def _make_rows(
        self,
        what: str,
        moment: ClusterSnapshot,
        fields: Sequence[str],
        names: ObjectNames | None,
    ) -> Sequence[object]:
        if what == "instance" and names is None:
            return [
                InstanceRow(moment, each)
                for each in self._order.sort_instances(moment.state.instances)
            ]
        if what in ROWS:
            return ROWS[what](moment, names)
        return await self._makers[what](moment, fields, names)

    async def _make_job_rows(
        self, moment: ClusterSnapshot, fields: Sequence[str], names: Sequence[object] | None
    ) -> list[JobRow]:
        return self._job_rows(names, archived="archived" in fields or names is not None)

    def _job_rows(self, ids: ObjectNames | None, *, archived: bool) -> list[JobRow]:
        if ids is None:
            return [JobRow.from_job(job) for job in self._queue.jobs()]
        return [self._job_row(int(number), archived) for number in ids]

    def _job_row(self, number: int, archived: bool) -> JobRow:
        job = self._queue.find_job(number)
        if job is not None:
            return JobRow.from_job(job)
        old = self._queue.archived(number) if archived else None
        return JobRow(number, None) if old is None else JobRow.from_job(old, archived=True)

    async def _make_lock_rows(
        self, moment: ClusterSnapshot, fields: Sequence[str], names: ObjectNames | None
    ) -> Sequence[LockRow]:
        return self._locks()

    async def _make_os_rows(
        self, moment: ClusterSnapshot, fields: Sequence[str], names: ObjectNames | None
    ) -> Sequence[oses.OSRow]:
        found = oses.rows(moment, await self._definitions.fresh_answer())
        return [row for row in found if names is None or row.name in names]

    async def _query_os_definitions(self) -> Mapping[str, Sequence[OSDefinitionReport] | None]:
        nodes = self._state().nodes
        hosts = [node for node in nodes.values() if node.vm_capable and not node.offline]
        found = await self._nodes.ask_all(hosts, DescribeOSes())
        return {nodes[uuid].name: answer for uuid, answer in _drop_failures(found).items()}

    async def _make_export_rows(
        self, moment: ClusterSnapshot, fields: Sequence[str], names: ObjectNames | None
    ) -> Sequence[object]:
        answers = await self._exported.fresh_answer()
        by_node = {node.uuid: answers.get(node.uuid) for node in moment.nodes.values()}
        return [row for row in exports.rows(moment, by_node) if names is None or row.node in names]

    async def _query_node_exports(self) -> Mapping[str, Sequence[str] | None]:
        hosts = [node for node in self._state().nodes.values() if not node.offline]
        return _drop_failures(await self._nodes.ask_all(hosts, ListExports()))

    async def _make_provider_rows(
        self, moment: ClusterSnapshot, fields: Sequence[str], names: ObjectNames | None
    ) -> Sequence[object]:
        found = extstorage.rows(moment, await self._providers.fresh_answer())
        return [row for row in found if names is None or row.name in names]

    async def _query_providers(self) -> Mapping[str, Sequence[ProviderReport] | None]:
        nodes = self._state().nodes
        hosts = [node for node in nodes.values() if node.vm_capable and not node.offline]
        found = await self._nodes.ask_all(hosts, DescribeProviders())
        return {nodes[uuid].name: answer for uuid, answer in _drop_failures(found).items()}

    async def _make_cluster_rows(
        self, moment: ClusterSnapshot, fields: Sequence[str], names: ObjectNames | None
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

    async def _query_consoles(self, state: ClusterState) -> dict[str, Mapping[str, object]]:
        """Return the console parameters of running instances, by UUID, as far as nodes answer."""
        found: dict[str, Mapping[str, object]] = {}
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


def _needs_consoles(table: Table[object], fields: Sequence[str]) -> bool:
    return Source.CONSOLES in table.sources(fields)


def _check_size(rows: int, fields: Sequence[str]) -> None:
    if rows * len(fields) > MAX_CELLS:
        raise Refused(
            f"{rows} objects with {len(fields)} fields exceed the limit of {MAX_CELLS}"
            " values; query fewer objects or fields at once",
            Code.RESOURCES,
        )


async def _update_list(
    texts: InstanceTexts, moment: ClusterSnapshot, task: SlicedTask, fields: Sequence[str]
) -> None:
    """Encode the instances that have changed, in time slices."""
    await task.map(partial(texts.update, moment), texts.stale(moment), steps=len(fields))


def _get_table(what: str) -> Table[object]:
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
