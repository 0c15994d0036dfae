# SPDX-License-Identifier: BSD-2-Clause
"""A client of the event stream that connects again whenever its connection ends."""

from __future__ import annotations

import base64
import http.client
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from ganeti.bootstrap.blocking_files import local_files
from ganeti.events.stream_position import LAST_EDIT, STREAM_START, StreamPosition
from ganeti.journal.log_reader import history
from ganeti.master.change_events import CommitEntry
from tests.system.running import RunningCluster
from tests.system.talking import RemoteApi

RECONNECT_SECONDS = 0.05


class EventReader(threading.Thread):
    """Reads events from where ``address`` says, on a thread, until ``end``.

    ``seen`` has the ids of events in their order, ``notices`` what the stream said of itself, and
    ``connections`` how often it connected.
    """

    def __init__(
        self,
        address: Callable[[], str],
        api: RemoteApi,
        since: str,
        query: str = "",
    ) -> None:
        super().__init__(daemon=True)
        self.seen: list[str] = []
        self.notices: list[str] = []
        self.connections = 0
        self.since = self.last = since
        self._address = address
        login = ":".join(api.login).encode()
        self._authorization = f"Basic {base64.b64encode(login).decode()}"
        self._context = api.context
        self._query = query
        self._connection: http.client.HTTPSConnection | None = None
        self._ending = False

    def run(self) -> None:
        while not self._ending:
            try:
                self._read()
            except (OSError, http.client.HTTPException, ValueError):
                time.sleep(RECONNECT_SECONDS)

    def end(self) -> None:
        """Disconnect, and return when the thread has ended."""
        self._ending = True
        connection = self._connection
        if connection is not None and connection.sock is not None:
            connection.sock.close()
        self.join(10)

    def committed(self) -> list[str]:
        """The ids of the events that are in commits."""
        return [each for each in self.seen if StreamPosition.parse(each).number < LAST_EDIT]

    def _read(self) -> None:
        url = urlsplit(self._address())
        connection = http.client.HTTPSConnection(
            url.hostname or "", url.port, timeout=1, context=self._context
        )
        self._connection = connection
        headers = {"Authorization": self._authorization, "Last-Event-ID": self.last}
        connection.request("GET", f"/2/events{self._query}", headers=headers)
        answer = connection.getresponse()
        if answer.status != 200:
            raise OSError(answer.status)
        self.connections += 1
        block: dict[str, str] = {}
        while line := answer.readline():
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name:
                block[name] = value
            elif block:
                self._take(block)
                block = {}

    def _take(self, block: dict[str, Any]) -> None:
        self.last = block.get("id", self.last)
        if "data" not in block:
            return
        if block["event"] in ("ready", "reset", "lagged"):
            self.notices.append(block["event"])
        else:
            self.seen.append(block["id"])


def expected(running: RunningCluster, node: int, since: str) -> list[str]:
    """The ids of all events that the journal of a node has after a position."""
    folder = running.cluster.node(node).paths.data + "/journal"
    return [
        str(event.cursor)
        for position, commit in history(local_files(), folder)
        for event in CommitEntry(position, commit, {}, lambda _: None).events(STREAM_START, 10**6)
        if event.cursor > StreamPosition.parse(since)
    ]
