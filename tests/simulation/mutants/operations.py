# SPDX-License-Identifier: BSD-2-Clause
"""Bugs in what opcodes do, and in taking it back."""

from __future__ import annotations

from tests.simulation.mutants.mutant import Mutant

_UNDO = "ganeti/operations/undo.py"
_DISKS = "ganeti/operations/instance/disks/block_devices.py"
_CREATE = "ganeti/operations/instance/create/create.py"
_SENDING = "ganeti/operations/instance/moves/migration.py"
_SETTLING = "ganeti/operations/instance/moves/migration_cleanup.py"
_FAILOVER = "ganeti/operations/instance/moves/failover.py"
_MOVE = "ganeti/operations/instance/moves/move.py"
_RENAME = "ganeti/operations/instance/lifecycle/rename.py"
_REMOVE = "ganeti/operations/instance/lifecycle/remove.py"
_STOP = "ganeti/operations/instance/lifecycle/stop.py"

MUTANTS = (
    Mutant(
        name="create-leaves-disks",
        file=_DISKS,
        before="""
            undo.by(f"remove {disk.iv_name} of {instance.name} on {node.name}", remove)
""",
        after="",
        reason="the disks of an instance that could not be created stay on their node",
        modes=("guests",),
        seeds=150,
    ),
    Mutant(
        name="migration-runs-before-it-is-recorded",
        file=_SENDING,
        before="""
        await tools.config.change(passage.list_changes())
""",
        after="""
        await tools.nodes.ask(target, FinalizeMigrationDst(guest=guest, arrived=True))
        await tools.config.change(passage.list_changes())
""",
        reason="the guest runs on its new node before the configuration says that it is there",
        modes=("guests",),
        seeds=150,
    ),
    Mutant(
        name="migration-taken-back-on-one-side",
        file=_SENDING,
        before="""
        said = await _drop_on_target(target, guest, tools)
    # Not raised: the error that ended the migration is the one to report.
""",
        after="""
        pass
    # Not raised: the error that ended the migration is the one to report.
""",
        reason="a guest that was not sent is awaited on its target for ever",
        modes=("guests",),
        seeds=150,
    ),
    Mutant(
        name="migration-source-lives-on",
        file=_SENDING,
        before="""
        await tools.nodes.ask(source, FinalizeMigrationSrc(guest=guest, left=True))
""",
        after="""
        await tools.nodes.ask(source, FinalizeMigrationSrc(guest=guest, left=False))
""",
        reason="the guest goes on running on its old node, too",
        modes=("plain",),
        seeds=150,
    ),
    Mutant(
        name="cleanup-lets-both-run",
        file=_SETTLING,
        before="""
    await _drop_elsewhere(plan, guest, here, tools)
    await _clean_up_targets(""",
        after="    await _clean_up_targets(",
        reason="what was sent and what was awaited stay after a cleanup",
        modes=(
            "guests-crash",
            "guests",
        ),
        seeds=150,
    ),
    Mutant(
        name="failover-does-not-stop",
        file=_FAILOVER,
        before="        await _stop(plan, tools, undo)",
        after="        pass",
        reason="the guest is started on its new node while it runs on the old one",
        modes=("plain",),
        seeds=150,
    ),
    Mutant(
        name="failover-goes-on-without-an-answer",
        file=_FAILOVER,
        before="""
        raise Failed(
            f"instance {instance.name} may still be running on node {primary.name}: {e}; make "
""",
        after="""
        return
        raise Failed(
            f"instance {instance.name} may still be running on node {primary.name}: {e}; make "
""",
        reason="a node that does not answer is taken to have stopped the guest",
        modes=("guests",),
        seeds=150,
    ),
    Mutant(
        name="move-leaves-old-disks",
        file=_MOVE,
        before="""
    for each in await remove_disks(state, instance, plan.subject.disks, tools):
""",
        after="""
    for each in await remove_disks(state, instance, (), tools):
""",
        reason="the disks of an instance stay on the node that it has left",
        modes=("guests",),
        seeds=150,
    ),
    Mutant(
        name="rename-not-taken-back",
        file=_RENAME,
        before="""
            undo.by(f"move {old.iv_name} back", partial(ask, back))
""",
        after="""
            del back
""",
        reason="a rename that failed leaves the disks at their new places",
        modes=("guests",),
        seeds=150,
    ),
    Mutant(
        name="stop-keeps-the-wish",
        file=_STOP,
        before="""
    undo.by(f"restore the recorded state of {instance.name}", partial(tools.config.change, before))
""",
        after="",
        reason="an instance that could not be stopped is recorded as down and runs",
        modes=("guests",),
        seeds=150,
    ),
)
