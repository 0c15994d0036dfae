# SPDX-License-Identifier: BSD-2-Clause
"""Seeing to it that every master candidate has the files that a master needs."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from ganeti.config.state import ClusterState, EditedState, RecordKind
from ganeti.errors import Failed, NotMaster
from ganeti.model.node import Node, Role
from ganeti.operations.operation import SharedFile, SharedFiles
from ganeti.rpc.call import Nodes
from ganeti.rpc.node import UploadFile

LOOK = 30.0
"""Seconds between two looks at the files, and until a node that failed is tried again."""


class AncillaryFiles:
    """Gives them to nodes that become candidates, and to all of them when a file changes."""

    _log = Logger()

    def __init__(
        self,
        nodes: Nodes,
        state: Callable[[], ClusterState],
        shared: SharedFiles,
        clock: IReactorTime,
    ) -> None:
        self._nodes = nodes
        self._state = state
        self._shared = shared
        self._clock = clock
        self._given: dict[str, set[SharedFile]] = {}
        self._timer: IDelayedCall | None = None
        self._giving: Deferred[None] | None = None

    def changed(self, state: ClusterState, edits: tuple[EditedState, ...]) -> None:
        """The configuration has changed; there may be new candidates."""
        if any(edit.kind is RecordKind.NODE for edit in edits):
            # At once: what is on its way to a node that has just lost the role does not count when
            # it is a candidate again.
            self._forget(state)
            self.soon()

    def _forget(self, state: ClusterState) -> list[Node]:
        """Forget what nodes were given that are no candidates, and return the candidates."""
        candidates = [
            node
            for node in state.nodes.values()
            if node.role(state.cluster.master_node) is Role.CANDIDATE
        ]
        uuids = {node.uuid for node in candidates}
        self._given = {uuid: had for uuid, had in self._given.items() if uuid in uuids}
        return candidates

    def soon(self, pause: float = 0.0) -> None:
        """Give every candidate what it does not have, after a pause in seconds."""
        if self._timer is not None and self._timer.active():
            if self._timer.getTime() <= self._clock.seconds() + pause:
                return
            self._timer.cancel()
        self._timer = self._clock.callLater(pause, self._begin)

    def _begin(self) -> None:
        if self._giving is not None:
            self.soon(1.0)
        else:
            self._giving = Deferred.fromCoroutine(self._give())
            self._giving.addErrback(self._broke)
            self._giving.addBoth(self._given_all)

    def _broke(self, failure: Failure) -> None:
        if not failure.check(CancelledError, NotMaster):
            self._log.failure("sharing files with the candidates broke", failure)

    def _given_all(self, _: object) -> None:
        self._giving = None
        self.soon(LOOK)

    async def _give(self) -> None:
        candidates = self._forget(self._state())
        given = {node.uuid: self._given.setdefault(node.uuid, set()) for node in candidates}
        files = await self._shared.read()
        for file in files:
            lacking = [node for node in candidates if file not in given[node.uuid]]
            content = b64encode(file.content).decode("ascii")
            upload = UploadFile(path=file.path, content=content, mode=file.mode)
            answers = await self._nodes.ask_all(lacking, upload) if lacking else {}
            for node in lacking:
                if isinstance(trouble := answers[node.uuid], Failed):
                    self._log.warn(
                        "{path} is not on {node} yet: {why}",
                        path=file.path,
                        node=node.name,
                        why=str(trouble),
                    )
                else:
                    had = given[node.uuid]
                    had -= {each for each in had if each.path == file.path}
                    had.add(file)

    def stop(self) -> None:
        """Give nothing any more."""
        giving, self._giving = self._giving, None
        if giving is not None:
            giving.cancel()
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
