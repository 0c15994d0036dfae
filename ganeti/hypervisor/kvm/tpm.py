# SPDX-License-Identifier: BSD-2-Clause
"""The TPM of a guest: a process of swtpm beside its QEMU, which keeps the TPM's state in a file.

swtpm emulates a device for a guest that may be hostile, as QEMU does. It runs as the user of the
guest's QEMU, or as root without capabilities, and its own filter limits what it asks of the kernel.
The file of the state is in a directory of root. swtpm gets it as an open descriptor, and is given
the file itself, as it opens the descriptor again (``/proc/self/fd``). Its socket is in a directory
of its user, which is its working directory: the one above belongs to root.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass

from ganeti.errors import Code, Failed
from ganeti.hypervisor.kvm.devices import escaped
from ganeti.hypervisor.kvm.qemu_user import QemuUser
from ganeti.hypervisor.kvm.scope import scope_command
from ganeti.system.interfaces import MINIMAL_PATH, IFiles, IProcesses

_PROGRAM = "swtpm"
_START_TIMEOUT = 30.0
_SOCKET, _PID = "c", "pid"
"""Names in the directory of a TPM; short, as paths of sockets are limited."""

# $1 is the owner, or empty; $2 the file of the state, $3 the directory of the socket.
_SCRIPT = 'set -e; [ -z "$1" ] || chown "$1" "$2" "$3"; exec 9<>"$2"; cd "$3"; shift 3; exec "$@"'

MISSING = "this node has no swtpm: install it (on Debian: apt-get install swtpm)"


@dataclass(frozen=True)
class TpmProcess:
    """A process of swtpm; ``identity`` tells it from a later one with the same ``pid``, which is 0
    if it is not known."""

    pid: int
    identity: str


def find_tpm_problem(files: IFiles) -> str:
    """Return why guests of this node cannot have a TPM; empty if they can."""
    folders = MINIMAL_PATH.split(":")
    return "" if any(files.stat(f"{folder}/{_PROGRAM}") for folder in folders) else MISSING


def tpm_options(folder: str) -> Iterator[str]:
    """Yield the options of a TPM whose socket is in ``folder``."""
    yield from ("-chardev", f"socket,id=tpm,path={escaped(f'{folder}/{_SOCKET}')}")
    yield from ("-tpmdev", "emulator,id=tpm,chardev=tpm")
    yield from ("-device", "tpm-crb,tpmdev=tpm")


class TpmEmulators:
    """Starts and ends swtpm. Only a ``privileged`` daemon, that is root, can take powers from it;
    with ``scopes``, each process gets a systemd scope."""

    def __init__(
        self, files: IFiles, processes: IProcesses, *, privileged: bool, scopes: bool
    ) -> None:
        self._files = files
        self._processes = processes
        self._privileged = privileged
        self._scopes = scopes

    async def start(
        self, name: str, state: str, folder: str, user: QemuUser | None, stamp: int
    ) -> TpmProcess:
        """Start the TPM of a guest; it listens in ``folder``, and ends when its QEMU does.

        ``state`` is the file of its state, which is empty for a new TPM. ``stamp`` differs from
        that of the last start.

        :raises Failed: it cannot be started.
        """
        await self._files.remove_folder(folder)
        await self._files.make_folder(folder, mode=0o700)
        argv = [*self._drop_powers(user), *_command()]
        owner = f"{user.user}:{user.group}" if user else "0:0"
        argv = ["sh", "-c", _SCRIPT, "sh", owner if self._privileged else "", state, folder, *argv]
        if self._scopes:
            argv = [*scope_command(f"{name}-tpm", stamp), *argv]
        finished = await self._processes.run(argv, timeout=_START_TIMEOUT)
        pid = self._read_pid(folder)
        found = self._processes.process_info(pid) if pid else None
        if finished.code or found is None:
            said = (finished.err or finished.out).decode("utf-8", "replace").strip()
            raise Failed(
                f"the TPM of {name} cannot be started: {said or f'exit code {finished.code}'}",
                Code.ENVIRONMENT,
            )
        return TpmProcess(pid, found.identity)

    def _drop_powers(self, user: QemuUser | None) -> Iterator[str]:
        if not self._privileged:
            return
        yield from ("setpriv", "--no-new-privs", "--inh-caps=-all", "--bounding-set=-all")
        if user is not None:
            yield from (f"--reuid={user.user}", f"--regid={user.group}", "--clear-groups")

    def _read_pid(self, folder: str) -> int:
        # It has just been written, before any guest could take over the process.
        try:
            return int(self._files.read(f"{folder}/{_PID}"))
        except (OSError, ValueError):
            return 0

    async def end(self, process: TpmProcess, folder: str) -> None:
        """End a TPM whose QEMU has ended, and remove its socket; its state is complete."""
        found = self._processes.process_info(process.pid) if process.pid else None
        if found is not None and found.identity == process.identity:
            self._processes.kill(process.pid, signal.SIGKILL)
        await self._files.remove_folder(folder)


def _command() -> Iterator[str]:
    yield from (_PROGRAM, "socket", "--tpm2", "--terminate", "--daemon")
    yield from ("--tpmstate", "backend-uri=file:///proc/self/fd/9")
    yield from ("--ctrl", f"type=unixio,path={_SOCKET},mode=0600", "--pid", f"file={_PID}")
