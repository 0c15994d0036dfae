# SPDX-License-Identifier: BSD-2-Clause
"""The table of RPC calls that a node serves, with the part that handles each."""

from __future__ import annotations

from ganeti.node.assembly import NodeParts
from ganeti.rpc import disks as disk
from ganeti.rpc import instances as instance
from ganeti.rpc import members, node, quorum, storage
from ganeti.rpc import replicas as replica
from ganeti.rpc import transfers as transfer
from ganeti.rpc.server import CallHandlers


def register_handlers(parts: NodeParts) -> CallHandlers:
    """Return the call handlers of a node with these parts."""
    answers = CallHandlers(parts.voter.term)

    answers.to(members.UpdateMembers, parts.candidacy.update)

    answers.to(node.AskVersion, parts.membership.version)
    answers.to(node.CopyFile, parts.cluster_commands.copy)
    answers.to(node.DelayCall, parts.membership.delay)
    answers.to(node.DescribeNode, parts.facts.describe)
    answers.to(node.DescribeOSes, parts.oses.describe)
    answers.to(node.LeaveCluster, parts.membership.leave)
    answers.to(node.ResolveName, parts.names.resolve)
    answers.to(node.RequestCertificate, parts.credentials.request)
    answers.to(node.ResumeMaster, parts.membership.resume_master)
    answers.to(node.RunCommand, parts.cluster_commands.run)
    answers.to(node.RunHooks, parts.hooks.run)
    answers.to(node.RunPowerHelper, parts.power.run)
    answers.to(node.RunRestrictedCommandCall, parts.commands.run)
    answers.to(node.StopMaster, parts.membership.stop_master)
    answers.to(node.UploadFile, parts.files.upload)
    answers.to(node.UseCertificate, parts.credentials.use)
    answers.to(node.ValidateHypervisor, parts.instances.validate)
    answers.to(node.ValidateOS, parts.scripts.verify)
    answers.to(node.VerifyNode, parts.checks.verify)
    answers.to(node.WriteSsconf, parts.files.write_ssconf)

    answers.to(instance.AcceptInstance, parts.instances.accept)
    answers.to(instance.DescribeConsole, parts.instances.console)
    answers.to(instance.DescribeRunning, parts.instances.running_config)
    answers.to(instance.FinalizeMigrationDst, parts.instances.finish_incoming)
    answers.to(instance.FinalizeMigrationSrc, parts.instances.finish_outgoing)
    answers.to(instance.InstallOS, parts.instances.install)
    answers.to(instance.ListGuests, parts.instances.running)
    answers.to(instance.MigrateInstanceCall, parts.instances.migrate)
    answers.to(instance.MigrationStatus, parts.instances.sending)
    answers.to(instance.RebootInstanceCall, parts.instances.reboot)
    answers.to(instance.RenameOS, parts.instances.rename)
    answers.to(instance.StartInstanceCall, parts.instances.start)
    answers.to(instance.StopInstance, parts.instances.stop)

    answers.to(disk.AttachDisk, parts.disks.attach)
    answers.to(disk.ConnectDisk, parts.disks.connect)
    answers.to(disk.CreateDisk, parts.disks.create)
    answers.to(disk.DemoteDisk, parts.disks.demote)
    answers.to(disk.DescribeDisks, parts.disks.describe)
    answers.to(disk.DetachDisk, parts.disks.detach)
    answers.to(disk.DisconnectDisk, parts.disks.disconnect)
    answers.to(disk.DetachMirrorChildren, parts.disks.drop)
    answers.to(disk.GrowDiskCall, parts.disks.grow)
    answers.to(disk.PauseResync, parts.disks.pause)
    answers.to(disk.PromoteDisk, parts.disks.promote)
    answers.to(disk.RemoveDisk, parts.disks.remove)
    answers.to(disk.RenameDisk, parts.disks.rename)
    answers.to(disk.SnapshotDisk, parts.disks.snapshot)
    answers.to(disk.AttachMirrorChildren, parts.disks.take)
    answers.to(disk.WipeDisk, parts.disks.wipe)

    answers.to(storage.ListStorageCall, parts.units.show)
    answers.to(storage.ListVolumesCall, parts.units.volumes)
    answers.to(storage.ModifyStorageCall, parts.units.modify)
    answers.to(storage.RepairStorageCall, parts.units.repair)

    answers.to(quorum.DescribeVote, parts.voter.describe)
    answers.to(quorum.ReleaseLease, parts.voter.release)
    answers.to(quorum.RenewLease, parts.voter.renew)
    answers.to(quorum.RequestVote, parts.voter.request)

    required = parts.candidacy.required
    answers.to(replica.DescribeReplica, required(parts.replica.describe))
    answers.to(replica.StoreCheckpoint, required(parts.replica.replace_checkpoint))
    answers.to(replica.AppendFrames, required(parts.replica.append_frames))
    answers.to(replica.ReadFrames, required(parts.replica.read_frames))
    answers.to(replica.ResetReplica, required(parts.replica.reset))

    answers.to(transfer.DescribeTransfers, parts.transfers.status)
    answers.to(transfer.CreateCertificate, parts.keys.create)
    answers.to(transfer.DescribeExport, parts.exports.describe)
    answers.to(transfer.FinalizeExport, parts.exports.finalize)
    answers.to(transfer.RemoveTransfer, parts.transfers.forget)
    answers.to(transfer.ListExports, parts.exports.list)
    answers.to(transfer.RemoveCertificate, parts.keys.remove)
    answers.to(transfer.RemoveExportCall, parts.exports.remove)
    answers.to(transfer.StartExport, parts.transfers.start_export)
    answers.to(transfer.StartImport, parts.transfers.start_import)
    return answers
