# SPDX-License-Identifier: BSD-2-Clause
"""Moves the state between files of the master candidates and etcd, while the cluster works.

The term in etcd alone decides where the state is, from the moment when a master candidate may ask
it until all have settings that need no decision. So there is one transaction before which the old
place is in charge, and after which the new one is; a node asks etcd before it starts a master.

* To etcd: the state is copied; every candidate gets the settings; while no commit is stored, the
  last commits are copied, and etcd is put in charge.
* To files: every candidate gets a copy, and commits are stored in both places; while no commit is
  stored, etcd is put out of charge.

Both protocols have the same term, so that calls to nodes continue. A move that fails before its
transaction is undone; one that is interrupted by the end of the master daemon is undone by the next
master.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Protocol, TypeAlias

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as TimedOut
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from ganeti.errors import Code, Failed, GanetiError, NotMaster, Refused
from ganeti.journal.etcd.etcd_store import EtcdStore
from ganeti.journal.etcd.interfaces import IEtcd
from ganeti.journal.etcd.leadership import Leadership
from ganeti.journal.etcd.store_settings import StateStore
from ganeti.journal.file_journal import FileJournal
from ganeti.journal.interfaces import LogPosition, StoreError
from ganeti.journal.segments import PositionNotFound
from ganeti.master.candidates import Candidates
from ganeti.master.current_store import CurrentCopies, CurrentTerm
from ganeti.master.follower import NEAR, CheckpointSource
from ganeti.master.mastership import STOPPING, MasterTerm
from ganeti.master.store_replication import StoreReplication
from ganeti.master.store_term import StoreTerm
from ganeti.model.node import Node, NodeRole
from ganeti.operations.operation import AncillaryFile
from ganeti.rpc.call import Nodes
from ganeti.rpc.node import UploadFile
from ganeti.rpc.store_members import RemoveStoreMember
from ganeti.schema.records import replace

Step: TypeAlias = Coroutine[Deferred[object], object, None]

STEP_TIMEOUT = 60.0
"""Seconds that a step of a move may take before it is undone."""

ANSWER_WITHIN = 20.0
"""Seconds after which a request for a move is answered, to be repeated by its client."""

INTERVAL = 0.2
"""Seconds between two checks of the copies on candidates."""


class MoveTools(Protocol):
    """What a move needs from the host of the master."""

    def settings(self) -> StateStore:
        """Return the settings of the store to move to or from.

        :raises Refused: there are none.
        """
        ...

    async def save(self, settings: StateStore) -> None:
        """Replace the settings on this host durably."""
        ...

    async def wait_for_settings(self) -> None:
        """Return when no older settings can arrive at a candidate any more."""
        ...

    async def files(self) -> Sequence[AncillaryFile]:
        """Return the settings and certificates that a candidate needs."""
        ...

    def connect(self, settings: StateStore) -> tuple[IEtcd, Leadership]:
        """Return a client of etcd, and the leader key of this process.

        :raises Failed: a certificate is unusable.
        """
        ...

    def votes(self) -> MasterTerm:
        """Return the term of this process by votes, which was not elected yet."""
        ...


class StateMove:
    """The moves of one master, one at a time."""

    _log = Logger()

    def __init__(
        self,
        journal: FileJournal,
        copies: CurrentCopies,
        term: CurrentTerm,
        nodes: Nodes,
        members: Callable[[], Mapping[str, Node]],
        master: Callable[[], Node],
        clock: IReactorTime,
        *,
        checkpoint: CheckpointSource,
        replicate: Callable[[MasterTerm], Candidates],
        tools: MoveTools | None,
    ) -> None:
        """``members`` returns all nodes by UUID, ``master`` the node of this process."""
        self._journal = journal
        self._copies = copies
        self._term = term
        self._nodes = nodes
        self._members = members
        self._master = master
        self._clock = clock
        self._checkpoint = checkpoint
        self._replicate = replicate
        self._tools = tools
        self._store = ""
        self._work: Deferred[bool] | None = None
        self._outcome: Failure | bool | None = None
        self._waiting: list[Deferred[None]] = []

    async def move(self, store: str) -> bool:
        """Move the state to ``store``: "etcd", according to the settings on this host, or "file".

        Return True when it is there, and False if that takes longer than ``ANSWER_WITHIN``: the
        caller then asks again.

        :raises Refused: it is there already, or another move is in progress.
        :raises Failed: a step failed; the state is where it was.
        """
        if self._store not in ("", store):
            if self._outcome is None:
                raise Refused("the state is being moved already; wait for its end", Code.STATE)
            # It has ended, and its client has gone before that.
            self._outcome, self._store = None, ""
        if not self._store:
            self._begin(store)
        if self._outcome is None:
            waiting: Deferred[None] = Deferred()
            self._waiting.append(waiting)
            with suppress(TimedOut):
                await waiting.addTimeout(ANSWER_WITHIN, self._clock)
        if self._outcome is None:
            return False
        outcome, self._outcome, self._store = self._outcome, None, ""
        if isinstance(outcome, Failure):
            outcome.raiseException()
        return True

    def _begin(self, store: str) -> None:
        """Begin a move.

        :raises Refused: the state is there already.
        """
        tools, in_etcd = self._tools, isinstance(self._term.now, StoreTerm)
        if tools is None:
            raise Refused("this master daemon cannot move the state", Code.STATE)
        if in_etcd == (store == "etcd"):
            raise Refused(f"the state is in {'etcd' if in_etcd else 'files'} already", Code.EXISTS)
        self._store, self._outcome = store, None
        self._work = Deferred.fromCoroutine(self._run(tools, in_etcd=in_etcd))
        self._work.addCallbacks(self._on_ended, self._on_ended)

    def _on_ended(self, outcome: Failure | bool) -> None:
        self._outcome = outcome
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if not each.called:
                # In a later turn: the first of them takes the outcome.
                self._clock.callLater(0, each.callback, None)

    async def _run(self, tools: MoveTools, *, in_etcd: bool) -> bool:
        try:
            await (self._move_to_files(tools) if in_etcd else self._move_to_etcd(tools))
        except StoreError as e:
            raise Failed(f"the state was not moved: {e}", Code.ENVIRONMENT) from None
        return True

    def stop(self) -> None:
        """Stop a move, which is undone."""
        if self._work is not None:
            self._work.cancel()

    # --- to etcd

    async def _move_to_etcd(self, tools: MoveTools) -> None:
        settings = replace(tools.settings(), kind="etcd", founded=False, moving=True)
        old, old_term = self._copies.now, self._term.now
        etcd, leadership = tools.connect(settings)
        try:
            # Before a candidate has the settings: one that asks etcd must find that it is not in
            # charge.
            await self._in_time(leadership.acquire_for_move(self._term.term()), leadership)
            await tools.save(settings)
            await tools.wait_for_settings()
            informed = await self._inform_candidates(tools)
            store = EtcdStore(etcd, settings.prefix, leadership, self._clock)
            replication = StoreReplication(
                self._journal,
                store,
                etcd,
                self._clock,
                self._checkpoint,
                own_members=settings.own_members,
            )

            async def decide(end: LogPosition) -> None:
                await self._copy_commits(store, end)
                self._check_candidates(informed)
                if not old_term.holds_lease():
                    raise Failed("the state was not moved: this master has lost its lease")
                if not await leadership.put_in_charge(True):
                    raise Failed("the state was not moved: etcd has deleted the leader key")
                # In the same turn: no commit and no call is between the two.
                term = StoreTerm(leadership, self._clock)
                term.serve()
                self._copies.replace_protocol(replication)
                self._term.replace_protocol(term)

            await self._copy_state(store, decide)
        except Exception:  # whatever it was, also if the move was canceled
            await self._leave_etcd(leadership)
            await self._settle(tools, replace(settings, kind="file", moving=False))
            raise
        old.stop()
        old_term.stop()
        assert isinstance(old_term, MasterTerm)
        await old_term.release_lease()
        self._log.info("the state of the cluster is in etcd now")
        await self._settle(tools, replace(settings, founded=True, moving=False))

    async def _copy_state(self, store: EtcdStore, decide: Callable[[LogPosition], Step]) -> None:
        """Copy the state to ``store``, and ``decide`` while no commit is being stored.

        Start over with a newer checkpoint if the journal has forgotten commits meanwhile.
        """
        while True:
            found = await self._checkpoint()
            at = self._journal.find_log_position(found.position)
            await store.create(found.files, at)
            with suppress(PositionNotFound):
                end = await self._copy_commits(store, at, until_near=True)
                await self._journal.pause(lambda: decide(end))  # noqa: B023
                return

    async def _copy_commits(
        self, store: EtcdStore, end: LogPosition, *, until_near: bool = False
    ) -> LogPosition:
        """Copy the commits after ``end``; return the last position that etcd has.

        ``until_near`` leaves some for the pause if there are always more.
        """
        while end.position < self._journal.last_commit():
            if until_near and self._journal.last_commit() - end.position <= NEAR:
                break
            for frames in self._journal.frames_after(end, until=self._journal.last_commit()):
                await store.store_frames(frames.after, frames.data, frames.end)
                end = frames.end
        return end

    def _candidates(self) -> list[Node]:
        master = self._master().uuid
        return [
            node for node in self._members().values() if node.role(master) is NodeRole.CANDIDATE
        ]

    async def _inform_candidates(self, tools: MoveTools) -> set[str]:
        """Send settings and certificates to all candidates; return their UUIDs.

        :raises Failed: a candidate does not have them. It would not ask etcd where the state is.
        """
        candidates = self._candidates()
        for file in await tools.files():
            content = b64encode(file.content).decode("ascii")
            upload = UploadFile(path=file.path, content=content, mode=file.mode)
            answers = await self._nodes.ask_all(candidates, upload) if candidates else {}
            for node in candidates:
                if isinstance(trouble := answers[node.uuid], GanetiError):
                    raise Failed(
                        f"the state was not moved: {node.name} is a master candidate and does not"
                        f" answer ({trouble}). Bring it back, or run gnt-node modify --offline=yes"
                        f" {node.name}"
                    )
        return {node.uuid for node in candidates}

    def _check_candidates(self, informed: set[str]) -> None:
        if new := [node.name for node in self._candidates() if node.uuid not in informed]:
            raise Failed(
                f"the state was not moved: {', '.join(new)} became a master candidate meanwhile;"
                " repeat the command"
            )

    # --- to files

    async def _move_to_files(self, tools: MoveTools) -> None:
        settings = tools.settings()
        old, old_term = self._copies.now, self._term.now
        assert isinstance(old_term, StoreTerm)
        votes = tools.votes()
        try:
            await self._in_time(votes.resume(self._term.term()))
            await self._in_time(votes.begin_term({self._master().name}))
            candidates = self._replicate(votes)
            candidates.waits_for_all = True

            async def add() -> None:
                self._copies.next = candidates

            # In a pause, so that no commit is between what is read from files and what is sent.
            await self._journal.pause(add)
            candidates.members(self._members().values())
            await self._wait_for_copies(votes, candidates)

            async def decide() -> None:
                self._check_copies(votes, candidates)
                if not votes.holds_lease():
                    raise Failed("the state was not moved: most nodes do not answer")
                if not await old_term.end_store_authority():
                    raise Failed("the state was not moved: etcd has deleted the leader key")
                votes.serve()
                candidates.waits_for_all = False
                self._copies.replace_protocol(candidates)
                self._term.replace_protocol(votes)

            await self._journal.pause(decide)
        except Exception:  # whatever it was, also if the move was canceled
            self._copies.drop_next()
            votes.stop()
            await votes.release_lease()
            raise
        old.stop()
        old_term.stop()
        await old_term.release_lease()
        self._log.info("the state of the cluster is in files of the master candidates now")
        settled = await self._settle(tools, replace(settings, kind="file", moving=False))
        # Candidates with old settings still ask the members.
        if settings.own_members and settled:
            await self._remove_members()

    async def _remove_members(self) -> None:
        """Remove the members of etcd that nodes of this cluster run."""
        nodes = [node for node in self._members().values() if not node.offline]
        answers = await self._nodes.ask_all(nodes, RemoveStoreMember())
        for node in nodes:
            if isinstance(answer := answers[node.uuid], GanetiError):
                self._log.warn(
                    "{node} may still run a member of etcd, which is not used any more: {why}",
                    node=node.name,
                    why=str(answer),
                )

    async def _wait_for_copies(self, votes: MasterTerm, candidates: Candidates) -> None:
        until = self._clock.seconds() + STEP_TIMEOUT
        while True:
            try:
                self._check_copies(votes, candidates)
            except Failed:
                if self._clock.seconds() >= until:
                    raise
                await deferLater(self._clock, INTERVAL)
            else:
                return

    def _check_copies(self, votes: MasterTerm, candidates: Candidates) -> None:
        """Check that every candidate has all commits.

        :raises Failed: one has not; or the copies have failed.
        """
        if self._copies.next is not candidates:
            raise Failed("the state was not moved: the copies on the candidates have failed")
        missing = {
            node.name: candidates.out_of_sync().get(node.uuid, "it is being added")
            for node in self._candidates()
            if node.name not in votes.in_effect.in_sync
        }
        if missing:
            listed = "; ".join(f"{name}: {why}" for name, why in sorted(missing.items()))
            raise Failed(
                f"the state was not moved: not all master candidates have a copy ({listed}). Bring"
                " them back, or mark them offline"
            )

    # --- both ways

    async def _in_time(
        self,
        step: Step,
        leadership: Leadership | None = None,
    ) -> None:
        """Wait for a step, but not for longer than ``STEP_TIMEOUT``.

        :raises Failed: that is over.
        """
        try:
            await Deferred.fromCoroutine(step).addTimeout(STEP_TIMEOUT, self._clock)
        except TimedOut:
            why = leadership.problem if leadership is not None else "most nodes do not answer"
            raise Failed(
                f"the state was not moved: {why or 'another master holds the leader key of etcd'}"
            ) from None

    async def _leave_etcd(self, leadership: Leadership) -> None:
        leadership.stop(NotMaster(STOPPING))
        await leadership.delete_leader_key()

    async def _settle(self, tools: MoveTools, settings: StateStore) -> bool:
        """Replace the settings that asked etcd, here and on the candidates.

        Return whether all of them have the new ones. Failures do not matter much: until they have
        new settings, candidates ask etcd.
        """
        try:
            await tools.save(settings)
            await self._inform_candidates(tools)
        except (GanetiError, OSError) as e:
            self._log.warn(
                "the settings of the state store were not replaced everywhere: {why}", why=str(e)
            )
            return False
        return True
