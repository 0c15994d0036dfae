# SPDX-License-Identifier: BSD-2-Clause
"""Operations on nodes that are whole: the nodes' own code, with guests and disks in memory."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from twisted.internet.task import Clock, deferLater

from ganeti.config.state import ClusterState
from ganeti.model.disk import Template
from ganeti.opcodes.opcode import Opcode
from ganeti.opcodes.registry import read_opcode
from ganeti.operations.guest_conversion import make_guest
from ganeti.operations.instance.disks.block_devices import create_disks
from ganeti.operations.operation import ResultWithCommit
from ganeti.operations.perform import collect_inputs
from ganeti.operations.registry import OPERATIONS
from ganeti.operations.undo import Undo
from ganeti.rpc.instances import StartInstanceCall
from ganeti.testing.host import MemoryHost
from ganeti.testing.hypervisor import MemoryHypervisor
from ganeti.testing.mirror import Copies, MemoryMirror
from ganeti.testing.nodes import MemoryNodes
from ganeti.testing.storage import MemoryVolumes
from ganeti.testing.streams import MemoryNetwork
from ganeti.testing.tools import MemoryTools


class PassingTime:
    """The time of a clock, which moves while somebody sleeps."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def date(self) -> float:
        return self.seconds()

    def seconds(self) -> float:
        return float(self._clock.seconds())

    async def sleep(self, seconds: float) -> None:
        self._clock.advance(seconds)


class RealTime(PassingTime):
    """The time of a clock that somebody else moves."""

    async def sleep(self, seconds: float) -> None:
        await deferLater(self._clock, seconds)


class WholeCluster:
    """Every node of ``state`` in memory, mirrored disks between them, and the tools of a job.

    Clusters that are to meet share a ``clock``, which is then the test's to move, and ``wires``.
    Disks of the templates ``real`` have their real drivers, and need programs on the hosts.
    """

    def __init__(
        self,
        state: ClusterState,
        clock: Clock | None = None,
        wires: MemoryNetwork | None = None,
        *,
        real: Collection[Template] = (),
    ) -> None:
        self.clock = clock or Clock()
        wires = wires or MemoryNetwork()
        self.copies = Copies(self.clock)
        self.memory = MemoryTools(state)
        self.network = MemoryNodes(clock=self.clock)
        self.hosts: dict[str, MemoryHost] = {}
        self.volumes: dict[str, MemoryVolumes] = {}
        self.guests: dict[str, MemoryHypervisor] = {}
        self.kvm: dict[str, MemoryHypervisor] = {}
        for node in state.nodes.values():
            plain = self.volumes[node.name] = MemoryVolumes()
            mirror = MemoryMirror(self.copies, node.name)
            volumes = {Template.PLAIN: plain, Template.DRBD: mirror, Template.SHAREDFILE: plain}
            guests = self.guests[node.name] = MemoryHypervisor()
            kvm = self.kvm[node.name] = MemoryHypervisor()
            host = MemoryHost(
                node.name,
                self.clock,
                hypervisors={"fake": guests, "kvm": kvm},
                volumes={each: made for each, made in volumes.items() if each not in real},
                network=wires,
            )
            host.disk.add_folder("/proc", 0o755)
            host.disk.put("/proc/meminfo", b"MemAvailable: 8388608 kB\n", 0o444, 0.0)
            self.hosts[node.name] = host
            self.network.add_node(node.name, self.hosts[node.name].answers)
        time = PassingTime(self.clock) if clock is None else RealTime(clock)
        self.tools = replace(self.memory.tools, nodes=self.network, time=time)

    @property
    def state(self) -> ClusterState:
        return self.memory.state()

    @property
    def said(self) -> str:
        """The job's log."""
        return "\n".join(self.memory.progress.said)

    async def do(self, op_id: str, **fields: Any) -> Any:
        """Carry out an opcode as a job would."""
        return await self.carry_out(read_opcode({"OP_ID": op_id, **fields}))

    async def carry_out(self, opcode: Opcode) -> Any:
        operation = OPERATIONS[type(opcode)]
        identity = self.tools.ids.uuid()
        facts = await collect_inputs(operation, opcode, self.state, self.tools, identity)
        plan = operation.plan(opcode, self.state, facts)
        operation.hooks(plan, self.state)
        result = await operation.run(plan, self.tools)
        operation.hooks(plan, self.state)
        if isinstance(result, ResultWithCommit):
            await self.tools.config.change(result.change)
            result = result.result
        return result

    async def make_disks(self, name: str) -> None:
        """Make the disks of an instance that the configuration knows."""
        instance = self.state.instance(name)
        async with Undo(self.tools.progress) as undo:
            disks = self.state.get_disks(instance)
            await create_disks(self.state, instance, disks, self.tools, undo)

    async def start(self, *names: str) -> None:
        """Start instances on their nodes, their disks made and attached."""
        for name in names:
            await self.do("OP_INSTANCE_STARTUP", instance_name=name)

    async def start_on(self, node: str, name: str) -> None:
        """Start a guest on a node where it should not be."""
        guest = make_guest(self.state, self.state.instance(name))
        await self.network.ask(self.state.node(node), StartInstanceCall(guest=guest))

    def where(self, name: str) -> Sequence[str]:
        """The nodes on which a guest runs."""
        return [node for node, guests in self.guests.items() if name in guests.running()]
