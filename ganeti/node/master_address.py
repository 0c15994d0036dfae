# SPDX-License-Identifier: BSD-2-Clause
"""The address of the cluster on a device of this host, as long as the master here holds it."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address

import msgspec
from twisted.logger import Logger

from ganeti.errors import Code, Failed
from ganeti.node.master_address_script import MasterAddressScript
from ganeti.rpc.master_address import BY_GANETI, HoldMasterAddress, ReleaseMasterAddress
from ganeti.system.interfaces import IProcesses, IStateFiles

TIMEOUT = 5.0
"""Seconds for ``ip``."""

PERMANENT = b"valid_lft forever"


class MasterAddress:
    """Handles the calls; ``announce`` tells the network of a device that the address is here.

    The kernel counts the lifetime of the address, ``ip-address(8)``. The ``script`` does it if the
    administrator wants it to. An address that Ganeti has configured permanently, which a take-over
    says in the ``records``, becomes one with a lifetime.
    """

    _log = Logger()

    def __init__(
        self,
        processes: IProcesses,
        announce: Callable[[str, str], None],
        script: MasterAddressScript,
        records: IStateFiles,
    ) -> None:
        self.script = script
        self._records = records
        self._processes = processes
        self._announce = announce

    async def hold_address(self, call: HoldMasterAddress) -> bool:
        """Take the address, or hold it for longer; return whether it is held.

        :raises Failed: ``ip`` or the script fails, for example because there is no such device.
        """
        if call.by_script:
            return await self.script.configure_address(call)
        present = await self._ip("-o", "address", "show", "to", call.address)
        # A permanent address was configured by the administrator, and is not the master's to
        # remove.
        if PERMANENT in present and not self._was_configured_by_ganeti(call, present):
            return False
        seconds = str(call.lifetime)
        network = f"{call.address}/{call.netmask}"
        await self._ip(
            # "replace" also sets the lifetime of an address that exists.
            *("address", "replace", network, "dev", call.device),
            *("valid_lft", seconds, "preferred_lft", seconds),
        )
        if PERMANENT in present:
            # Only now: if ``ip`` fails, it is tried again.
            self._records.remove(BY_GANETI)
        if not present:
            self._log.info("this host has the address {address}", address=network)
            if ip_address(call.address).version == 4:
                try:
                    self._announce(call.device, call.address)
                except OSError as e:
                    # Others find out when their entries of it expire.
                    self._log.warn("the address could not be announced: {why}", why=str(e))
        return True

    def _was_configured_by_ganeti(self, call: HoldMasterAddress, present: bytes) -> bool:
        """Return whether a permanent address is the one that Ganeti has left at a take-over."""
        content = self._records.read_all().get(BY_GANETI)
        where = ReleaseMasterAddress(address=call.address, netmask=call.netmask, device=call.device)
        if content != msgspec.json.encode(where):
            return False
        # With another length of the network or on another device, it is not replaced but added.
        _, device, _, network, *_ = present.split()
        return (device, network) == (
            call.device.encode(),
            f"{call.address}/{call.netmask}".encode(),
        )

    async def release_address(self, call: ReleaseMasterAddress) -> None:
        """Remove the address.

        :raises Failed: ``ip`` or the script fails.
        """
        if call.by_script:
            await self.script.remove_address(call)
            return
        present = await self._ip("-o", "address", "show", "to", call.address)
        if present and PERMANENT not in present:
            network = f"{call.address}/{call.netmask}"
            await self._ip("address", "delete", network, "dev", call.device)
            self._log.info("this host has given up the address {address}", address=network)

    async def _ip(self, *arguments: str) -> bytes:
        ended = await self._processes.run(["ip", *arguments], timeout=TIMEOUT)
        if ended.code:
            why = ended.err.decode("utf-8", "replace").strip()
            raise Failed(f"ip {' '.join(arguments)}: {why}", Code.ENVIRONMENT)
        return ended.out
