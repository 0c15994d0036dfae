# SPDX-License-Identifier: BSD-2-Clause
"""Distribution of the files that every master candidate needs besides the configuration."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from ganeti.config.state import ClusterState, RecordEdit, RecordKind
from ganeti.errors import Failed, NotMaster
from ganeti.model.node import Node, NodeRole
from ganeti.operations.operation import AncillaryFile, SharedFiles
from ganeti.rpc.call import Nodes
from ganeti.rpc.node import UploadFile

LOOK = 30.0
"""Seconds between two checks of the files, and before an upload is retried."""


SETTLE_INTERVAL = 0.1
"""Seconds between two checks whether an upload has ended."""


class AncillaryFiles:
    """Uploads the files to new candidates, and to all candidates when a file changes."""

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
        self._uploaded: dict[str, set[AncillaryFile]] = {}
        self._timer: IDelayedCall | None = None
        self._upload: Deferred[None] | None = None

    def config_changed(self, state: ClusterState, edits: tuple[RecordEdit, ...]) -> None:
        """Upload the files to new candidates after a configuration change."""
        if any(edit.kind is RecordKind.NODE for edit in edits):
            # At once: an upload in progress to a node that has just lost the role must not count
            # when the node becomes a candidate again.
            self._drop_former_candidates(state)
            self.schedule_upload()

    def _drop_former_candidates(self, state: ClusterState) -> list[Node]:
        """Drop the records of nodes that are no candidates; return the candidates."""
        candidates = [
            node
            for node in state.nodes.values()
            if node.role(state.cluster.master_node) is NodeRole.CANDIDATE
        ]
        uuids = {node.uuid for node in candidates}
        self._uploaded = {uuid: had for uuid, had in self._uploaded.items() if uuid in uuids}
        return candidates

    def schedule_upload(self, pause: float = 0.0) -> None:
        """Upload missing files to every candidate after ``pause`` seconds."""
        if self._timer is not None and self._timer.active():
            if self._timer.getTime() <= self._clock.seconds() + pause:
                return
            self._timer.cancel()
        self._timer = self._clock.callLater(pause, self._start_upload)

    def _start_upload(self) -> None:
        if self._upload is not None:
            self.schedule_upload(1.0)
        else:
            self._upload = Deferred.fromCoroutine(self._upload_missing())
            self._upload.addErrback(self._log_failure)
            self._upload.addBoth(self._on_upload_ended)

    def _log_failure(self, failure: Failure) -> None:
        if not failure.check(CancelledError, NotMaster):
            self._log.failure("internal error in the distribution of ancillary files", failure)

    def _on_upload_ended(self, _: object) -> None:
        self._upload = None
        self.schedule_upload(LOOK)

    async def _upload_missing(self) -> None:
        candidates = self._drop_former_candidates(self._state())
        # The sets of now: one of a node that loses the role meanwhile is not used again.
        given = {node.uuid: self._uploaded.setdefault(node.uuid, set()) for node in candidates}
        files = await self._shared.read()
        for file in files:
            lacking = [node for node in candidates if file not in given[node.uuid]]
            content = b64encode(file.content).decode("ascii")
            upload = UploadFile(path=file.path, content=content, mode=file.mode)
            answers = await self._nodes.ask_all(lacking, upload) if lacking else {}
            for node in lacking:
                if isinstance(trouble := answers[node.uuid], Failed):
                    self._log.warn(
                        "{path} could not be copied to {node}, will retry: {why}",
                        path=file.path,
                        node=node.name,
                        why=str(trouble),
                    )
                else:
                    had = given[node.uuid]
                    # An older version of the file has been overwritten there.
                    had -= {each for each in had if each.path == file.path}
                    had.add(file)

    async def upload_now(self) -> bool:
        """Upload missing files; return whether every candidate has all files as they are now."""
        await self.wait_for_uploads()
        await self._upload_missing()
        files = set(await self._shared.read())
        candidates = self._drop_former_candidates(self._state())
        return all(files <= self._uploaded.get(node.uuid, set()) for node in candidates)

    async def wait_for_uploads(self) -> None:
        """Return when no upload is in progress that may have read files earlier than now."""
        begun = self._upload
        while begun is not None and self._upload is begun:
            await deferLater(self._clock, SETTLE_INTERVAL)

    def stop(self) -> None:
        """Cancel running and scheduled uploads."""
        giving, self._upload = self._upload, None
        if giving is not None:
            giving.cancel()
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
