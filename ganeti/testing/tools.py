# SPDX-License-Identifier: BSD-2-Clause
"""The tools of operations, in memory: a configuration, scripted nodes, and a job's log."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from itertools import count
from random import Random
from typing import Any, TypeVar
from uuid import UUID

from twisted.internet.defer import CancelledError, Deferred

from ganeti.config.state import ClusterState
from ganeti.config.writer import Change, ChangeCause, ConfigWriter
from ganeti.errors import Code, Failed, JobCanceled, Unreachable
from ganeti.model.node import Node
from ganeti.opcodes.opcode import Opcode
from ganeti.operations.member_list import make_member_list
from ganeti.operations.operation import AddressControl, AncillaryFile, Tools
from ganeti.paths import Paths
from ganeti.rpc.call import Call
from ganeti.rpc.members import MemberRecords
from ganeti.testing.certificates import MemoryKeys, new_authority
from ganeti.testing.disk import MemoryDisk, MemoryFiles
from ganeti.testing.journal import MemoryJournal

R = TypeVar("R")


class ScriptedNodes:
    """Nodes that answer as the test says, and a record of what they were asked.

    ``answers`` maps a kind of call to its answer, to a function of the node's name and the call,
    or to an error; other calls are answered by None.
    """

    def __init__(self, answers: Mapping[type[Call[object]], object] | None = None) -> None:
        self.answers = dict(answers or {})
        self.asked: list[tuple[str, Call[object]]] = []
        self.gone: set[str] = set()

    async def ask(self, node: Node, call: Call[R]) -> R:
        self.asked.append((node.name, call))
        if node.name in self.gone:
            raise Unreachable(node.name, "connection refused")
        answer: Any = self.answers.get(type(call))
        if callable(answer):
            answer = answer(node.name, call)
        if isinstance(answer, Exception):
            raise answer
        given: R = answer
        return given

    async def ask_all(self, nodes: Sequence[Node], call: Call[R]) -> Mapping[str, R | Failed]:
        answers: dict[str, R | Failed] = {}
        for node in nodes:
            try:
                answers[node.uuid] = await self.ask(node, call)
            except Failed as e:
                answers[node.uuid] = e
        return answers

    def calls(self, *kinds: type[Call[object]]) -> list[tuple[str, str]]:
        """Node and name of every call, or of those of these kinds."""
        return [
            (node, type(call).__name__)
            for node, call in self.asked
            if not kinds or isinstance(call, kinds)
        ]


class MemoryProgress:
    """A job's log as a list, and whether its owner has canceled it.

    ``cancel`` cancels it, and what can be interrupted just then. ``recover`` is what makes the
    journal work again.
    """

    def __init__(self) -> None:
        self.said: list[str] = []
        self.noted: list[tuple[str, object]] = []
        self.canceled: Callable[[], bool] = lambda: False
        self.recover: Callable[[], Awaitable[None]] | None = None
        self._interruptible: list[Deferred[Any]] = []

    def cancel(self) -> None:
        self.canceled = lambda: True
        for work in self._interruptible:
            work.cancel()

    def log_message(self, message: str) -> None:
        self.said.append(message)

    def log_entry(self, kind: str, payload: object) -> None:
        self.noted.append((kind, payload))

    def may_stop(self) -> None:
        if self.canceled():
            raise JobCanceled("the job was canceled")

    async def journal_recovered(self) -> None:
        assert self.recover is not None, "nothing makes the journal work again"
        await self.recover()

    async def interruptible(self, work: Coroutine[Deferred[object], object, R]) -> R:
        if self.canceled():
            # Python warns of a coroutine that is never awaited.
            work.close()
            raise JobCanceled("the job was canceled")
        waiting = Deferred.fromCoroutine(work)
        self._interruptible = [waiting]
        try:
            return await waiting
        except CancelledError:
            raise JobCanceled("the job was canceled") from None


class SeededIdentifiers:
    """Identifiers that are the same in every run with the same seed."""

    def __init__(self, random: Random) -> None:
        self.random = random

    def uuid(self) -> str:
        return str(UUID(int=self.random.getrandbits(128), version=4))

    def secret(self) -> str:
        return self.random.randbytes(20).hex()


class StandingTime:
    """A clock that moves only while a caller sleeps."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now

    def date(self) -> float:
        return self.now

    def seconds(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


A_CERTIFICATE = b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"


class MemoryAllocators:
    """External allocators by their names, each with its answer to whatever it is asked."""

    def __init__(self, answers: Mapping[str, str], requests: list[str]) -> None:
        self._answers = answers
        self._requests = requests

    async def __call__(
        self, name: str, request: Callable[[], Awaitable[str]], options: Sequence[str] = ()
    ) -> str:
        if not self.installed(name):
            raise Failed(f"there is no allocator {name}", Code.UNKNOWN)
        self._requests.append(await request())
        return self._answers[name]

    def installed(self, name: str) -> bool:
        return name in self._answers


class MemoryAddress(AddressControl):
    """The address of a cluster, which is ``active`` or not."""

    def __init__(self) -> None:
        self.active = True

    async def activate_address(self) -> None:
        self.active = True

    async def deactivate_address(self) -> None:
        self.active = False


class MemoryTools:
    """Everything that an operation is given; ``tools`` is handed to its ``run``.

    ``issued`` are the requests for certificates, each of which gets the same.
    ``keys`` are those of the cluster, on ``disk``, which trusts what the node of the master does.
    ``distributed`` are the lists of members that nodes got; those that are ``uninformed`` did not.
    ``allocators`` has what external allocators answer, by name; ``requests`` is what they got.
    """

    def __init__(
        self, state: ClusterState, answers: Mapping[type[Call[object]], object] | None = None
    ) -> None:
        self.time = StandingTime()
        self.journal = MemoryJournal()
        self.config = ConfigWriter(state, self.journal, self.time.seconds)
        self.nodes = ScriptedNodes(answers)
        self.progress = MemoryProgress()
        self.submitted: list[Sequence[Opcode]] = []
        self.behind: dict[str, str] = {}
        self.files: list[AncillaryFile] = []
        self.allocators: dict[str, str] = {}
        self.requests: list[str] = []
        self.distributed: list[MemberRecords | None] = []
        self.uninformed: dict[str, Failed] = {}
        self.store_problems: tuple[str, ...] = ()
        self.disk = MemoryDisk()
        self.disk.add_folder(Paths().data, 0o750)
        first = new_authority(0)
        self.disk.put(Paths().authority, first.certificate.encode(), 0o644, 0.0)
        self.disk.put(Paths().authority_key, first.key, 0o600, 0.0)
        self.keys = MemoryKeys(MemoryFiles(self.disk), Paths(), count(1))
        self.issued: list[tuple[bytes, tuple[str, ...]]] = []
        self.address = MemoryAddress()
        self.tools = Tools(
            config=self,
            nodes=self.nodes,
            progress=self.progress,
            ids=SeededIdentifiers(Random(1)),
            time=self.time,
            submit=self._submit,
            run_allocator=MemoryAllocators(self.allocators, self.requests),
            copies=self,
            shared=self,
            answers=self,
            issue=self._issue,
            members=self,
            address=self.address,
            keys=self.keys,
        )

    def state(self) -> ClusterState:
        return self.config.state()

    async def change(self, change: Change) -> ClusterState:
        return await self.config.change(change, because=ChangeCause("test", "a test"))

    async def problems(self) -> Sequence[str]:
        return self.store_problems

    def out_of_sync(self) -> Mapping[str, str]:
        return self.behind

    async def distribute(self) -> Mapping[str, Failed]:
        members = make_member_list(self.state())
        self.distributed.append(members)
        if members and members.authorities and self.state().master.name not in self.uninformed:
            trusted = "".join(members.authorities).encode()
            self.disk.put(Paths().authority, trusted, 0o644, 0.0)
        return self.uninformed

    async def query(
        self, what: str, fields: Sequence[str], qfilter: object = None
    ) -> dict[str, object]:
        return {"fields": list(fields), "data": []}

    async def fields(self, what: str, names: Sequence[str] | None = None) -> dict[str, object]:
        return {"fields": list(names or ())}

    async def rows(
        self, what: str, names: Sequence[str], fields: Sequence[str]
    ) -> list[list[object]]:
        return []

    async def cluster_info(self) -> object:
        return {}

    async def config_values(self, names: Sequence[str]) -> list[object]:
        return [None for _ in names]

    async def read(self) -> Sequence[AncillaryFile]:
        return self.files

    async def _submit(self, jobs: Sequence[Sequence[Opcode]]) -> list[tuple[bool, int | str]]:
        self.submitted += jobs
        return [(True, number) for number, _ in enumerate(jobs, start=1)]

    async def _issue(self, request: bytes, names: Sequence[str]) -> bytes:
        self.issued.append((request, tuple(names)))
        return A_CERTIFICATE
