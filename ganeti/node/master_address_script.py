# SPDX-License-Identifier: BSD-2-Clause
"""The administrator's script that configures the cluster's address on the master's host.

It is ``scripts/master-ip-setup`` in the folder of the configuration, as Ganeti has it: called with
``start`` or ``stop`` and the address in the environment.
"""

from __future__ import annotations

from ipaddress import ip_address

import msgspec
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from ganeti.errors import Code, Failed
from ganeti.rpc.master_address import BY_GANETI, BY_SCRIPT, HoldMasterAddress, ReleaseMasterAddress
from ganeti.schema.documents import UNREADABLE
from ganeti.system.interfaces import MINIMAL_PATH, IProcesses, IStateFiles

TIMEOUT = 30.0
"""Seconds for the script."""

RESUME_LIFETIME = 5.0
"""Seconds in which the master must renew an address that an earlier node daemon has configured."""


class MasterAddressScript:
    """Runs the script ``path``; ``records`` remember the address for the next node daemon.

    The kernel cannot remove what a script has configured. So the node daemon runs it with ``stop``
    when the master does not renew the address in time; without a node daemon, the address stays.
    """

    _log = Logger()

    def __init__(
        self, processes: IProcesses, records: IStateFiles, clock: IReactorTime, path: str
    ) -> None:
        self._processes = processes
        self._records = records
        self._clock = clock
        self._path = path
        self._held: ReleaseMasterAddress | None = None
        self._timer: IDelayedCall | None = None
        self._lock = DeferredLock()

    def resume_by_record(self) -> None:
        """Take over the address that an earlier node daemon of this host has configured."""
        content = self._records.read_all().get(BY_SCRIPT)
        if content is None:
            return
        # It has said all that it can, if this host has crashed before it was removed.
        self._records.remove(BY_GANETI)
        try:
            self._held = msgspec.json.decode(content, type=ReleaseMasterAddress)
        except UNREADABLE as e:
            self._log.error(
                "it is not known which address the script has configured: {why}", why=str(e)
            )
            self._records.remove(BY_SCRIPT)
        else:
            self._expire_after(RESUME_LIFETIME)

    async def configure_address(self, call: HoldMasterAddress) -> bool:
        """Run the script if it has not configured the address yet; return True.

        :raises Failed: the script failed, or does not exist.
        """
        wanted = ReleaseMasterAddress(
            address=call.address, netmask=call.netmask, device=call.device, by_script=True
        )
        async with self._lock:
            if self._held not in (None, wanted):
                await self._stop()
            if self._held is None:
                # Before the script runs: what it began before a crash must be undone as well.
                content = msgspec.json.encode(wanted)
                self._records.put(BY_SCRIPT, content)
                self._held = wanted
                if self._records.read_all().get(BY_GANETI) == content:
                    # Ganeti has run it before the take-over, and what is there is kept.
                    self._records.remove(BY_GANETI)
                else:
                    await self._start(wanted)
            self._expire_after(call.lifetime)
        return True

    async def remove_address(self, call: ReleaseMasterAddress) -> None:
        """Run the script to remove the address.

        :raises Failed: the script failed; it is not run again.
        """
        async with self._lock:
            if self._held is not None:
                await self._stop()

    def _expire_after(self, seconds: float) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.reset(seconds)
        else:
            self._timer = self._clock.callLater(seconds, self._expire)

    def _expire(self) -> None:
        Deferred.fromCoroutine(self._end_expired()).addErrback(self._log_failure)

    async def _end_expired(self) -> None:
        async with self._lock:
            # The timer may have been set again while this waited for the lock.
            renewed = self._timer is not None and self._timer.active()
            if self._held is not None and not renewed:
                self._log.warn("the master has not renewed the address; running the script")
                await self._stop()

    def _log_failure(self, failure: Failure) -> None:
        if failure.check(Failed):
            self._log.error("{why}", why=failure.getErrorMessage())
        else:
            self._log.failure("internal error in the end of the cluster's address", failure)

    async def _start(self, wanted: ReleaseMasterAddress) -> None:
        try:
            await self._run("start", wanted)
        except Failed:
            await self._stop()
            raise
        self._log.info("the script has configured {address}", address=wanted.address)

    async def _stop(self) -> None:
        held, self._held = self._held, None
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if held is not None:
            await self._run("stop", held)
            self._log.info("the script has removed {address}", address=held.address)
        # Only now: if the script fails or this daemon ends, the next one runs it again.
        self._records.remove(BY_SCRIPT)

    async def _run(self, verb: str, where: ReleaseMasterAddress) -> None:
        environment = {
            "PATH": MINIMAL_PATH,
            "CLUSTER_IP_VERSION": str(ip_address(where.address).version),
            "MASTER_IP": where.address,
            "MASTER_NETDEV": where.device,
            "MASTER_NETMASK": str(where.netmask),
        }
        ended = await self._processes.run([self._path, verb], env=environment, timeout=TIMEOUT)
        if ended.code:
            why = (ended.err or ended.out).decode("utf-8", "replace").strip()
            raise Failed(f"{self._path} {verb}: exit code {ended.code}: {why}", Code.ENVIRONMENT)
