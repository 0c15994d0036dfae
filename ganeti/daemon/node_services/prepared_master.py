# SPDX-License-Identifier: BSD-2-Clause
"""A process on a master candidate that has loaded the modules of the master daemon, and waits.

Loading them takes most of the time of a start, and is worst when the candidates of a cluster lose
their master and all begin to work at once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from ganeti.bootstrap.daemons import MASTERD, WaitingDaemon, start
from ganeti.bootstrap.failover import take_vacant_role
from ganeti.paths import NODED_PORT, Paths


class PreparedMaster:
    """Starts the master daemon of the node ``name``, in a process that was prepared for it.

    ``in_thread`` calls a blocking function in a thread; all node daemons listen on ``port``.
    """

    def __init__(
        self,
        in_thread: Callable[..., Awaitable[None]],
        paths: Paths,
        name: str,
        port: int,
        *,
        active: Callable[[], bool] = lambda: True,
        wait: Callable[..., WaitingDaemon] = WaitingDaemon,
        take_role: Callable[..., None] = take_vacant_role,
    ) -> None:
        """``active`` returns whether this node becomes the master if there is none.

        ``wait`` starts the process that waits, ``take_role`` makes this node the master.
        """
        self._in_thread = in_thread
        self._paths = paths
        self._name = name
        self._port = port
        self._active = active
        self._wait = wait
        self._take_role = take_role
        self._waiting: WaitingDaemon | None = None

    async def prepare(self) -> None:
        """Have a process that waits, if this node is to become the master."""
        if not self._active():
            self.discard()
        elif self._waiting is None or self._waiting.outdated():
            self.discard()
            self._waiting = self._wait(self._paths, MASTERD, *self._options())

    def _options(self) -> list[str]:
        port = [] if self._port == NODED_PORT else [f"--node-port={self._port}"]
        return ["--take-vacant-role", *port]

    async def start(self) -> None:
        """Make this node the master.

        :raises Failed: a step failed, or another node has become the master.
        """
        waiting, self._waiting = self._waiting, None

        def start_daemon(paths: Paths, daemon: str, *options: str) -> None:
            # Without a process that waits, because it was killed, the start takes longer.
            if daemon == MASTERD and waiting is not None and waiting.usable():
                waiting.start()
            else:
                start(paths, daemon, *options)

        try:
            await self._in_thread(
                self._take_role, self._paths, self._name, port=self._port, start=start_daemon
            )
        finally:
            if waiting is not None:
                waiting.end()

    def discard(self) -> None:
        """End the process that waits."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.end()
