# SPDX-License-Identifier: BSD-2-Clause
"""The table of RPC calls that a node serves, with the part that handles each."""

from __future__ import annotations

from ganeti.node.assembly import NodeParts
from ganeti.rpc import backup_calls as backup
from ganeti.rpc import disks as disk
from ganeti.rpc import (
    guest_lease,
    master_address,
    members,
    node,
    quorum,
    snapshots,
    storage,
    store_members,
)
from ganeti.rpc import images as image
from ganeti.rpc import instances as instance
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
    answers.to(node.LeaveCluster, parts.membership.leave_cluster)
    answers.to(node.ResolveName, parts.names.resolve)
    answers.to(node.ReadUsage, parts.usage.read_usage)
    answers.to(node.RequestCertificate, parts.credentials.request)
    answers.to(node.ResumeMaster, parts.membership.resume_master)
    answers.to(node.RunCommand, parts.cluster_commands.run)
    answers.to(node.RunHooks, parts.hooks.run)
    answers.to(node.RunPowerHelper, parts.power.run)
    answers.to(node.RunRestrictedCommandCall, parts.commands.run)
    answers.to(node.StopMaster, parts.membership.stop_master)
    answers.to(node.UpdateSsconfList, parts.files.update_ssconf_list)
    answers.to(node.UploadFile, parts.files.upload)
    answers.to(node.UseCertificate, parts.credentials.use_certificate)
    answers.to(node.ValidateHypervisor, parts.instances.validate)
    answers.to(node.ValidateOS, parts.scripts.verify)
    answers.to(node.VerifyNode, parts.checks.verify)
    answers.to(node.WatchNode, parts.reports.watch)
    answers.to(node.WriteSsconf, parts.files.write_ssconf)

    reporting = parts.reports.reporting
    answers.to(instance.BalloonMemory, reporting(parts.instances.balloon))
    answers.to(instance.CaptureScreen, parts.instances.screenshot)
    answers.to(instance.ChangeMedia, parts.instances.change_media)
    answers.to(instance.DescribeHotplug, parts.instances.find_hotplug_problem)
    answers.to(instance.HotplugDevice, parts.instances.hotplug)
    answers.to(master_address.HoldMasterAddress, parts.master_address.hold_address)
    answers.to(master_address.ReleaseMasterAddress, parts.master_address.release_address)

    answers.to(store_members.ConfigureStoreMember, parts.store_member.configure)
    answers.to(store_members.DescribeStoreMember, parts.store_member.describe)
    answers.to(store_members.RemoveStoreMember, parts.store_member.remove)

    answers.to(snapshots.CreateGuestSnapshot, parts.guest_snapshots.create)
    answers.to(snapshots.CheckSavedMemory, parts.guest_snapshots.check_memory)
    answers.to(snapshots.LoadSavedMemory, parts.guest_snapshots.load_memory)
    answers.to(snapshots.ListDiskSnapshots, parts.guest_snapshots.list_names)
    answers.to(snapshots.RemoveGuestSnapshot, parts.guest_snapshots.remove)
    answers.to(snapshots.RevertGuest, parts.guest_snapshots.revert)

    answers.to(instance.AcceptInstance, parts.instances.accept)
    answers.to(instance.CopyDisks, parts.instances.copy_disks)
    answers.to(instance.DescribeMigrations, parts.instances.describe_migrations)
    answers.to(instance.DiskCopyStatus, parts.instances.copying)
    answers.to(instance.ReceiveDisks, parts.instances.receive_disks)
    answers.to(instance.DescribeConsole, parts.instances.console)
    answers.to(instance.PrepareConsole, parts.consoles.prepare)
    answers.to(instance.DescribeRunning, parts.instances.running_config)
    answers.to(instance.FinalizeMigrationDst, reporting(parts.instances.finish_incoming))
    answers.to(instance.FinalizeMigrationSrc, reporting(parts.instances.finish_outgoing))
    answers.to(instance.InstallOS, parts.instances.install)
    answers.to(instance.ListGuests, parts.instances.running)
    answers.to(instance.MigrateInstanceCall, parts.instances.migrate)
    answers.to(instance.MigrationStatus, parts.instances.sending)
    answers.to(instance.ReadFirmwareVariables, parts.instances.send_uefi_variables)
    answers.to(instance.RebootInstanceCall, reporting(parts.instances.reboot))
    answers.to(instance.RenameOS, parts.instances.rename)
    answers.to(instance.StartInstanceCall, reporting(parts.instances.start))
    answers.to(instance.StoreFirmwareVariables, parts.instances.keep_uefi_variables)
    answers.to(instance.StopInstance, reporting(parts.instances.stop))

    answers.to(backup.AbandonBackup, parts.backups.give_up_backup)
    answers.to(backup.BeginBackup, parts.backups.start_backup)
    answers.to(backup.BeginGuestBackup, parts.backups.show_guest_disks)
    answers.to(backup.CommitBackup, parts.backups.complete_backup)
    answers.to(backup.CreateRepository, parts.backups.make_repository)
    answers.to(backup.DescribeBackup, parts.backups.report_backup)
    answers.to(backup.DescribeRepository, parts.backups.report_status)
    answers.to(backup.EndGuestBackup, parts.backups.hide_guest_disks)
    answers.to(backup.IdentifyRepository, parts.backups.read_identity)
    answers.to(backup.ListBackups, parts.backups.report_backups)
    answers.to(backup.RemoveBackupData, parts.backups.delete_backups)
    answers.to(backup.VerifyBackupData, parts.backups.check_data)
    answers.to(backup.CheckRestored, parts.backups.check_restored)

    answers.to(disk.AttachDisk, parts.disks.attach)
    answers.to(disk.CheckDiskParameters, parts.disks.validate_disk)
    answers.to(disk.ConnectDisk, parts.disks.connect)
    answers.to(disk.CreateDisk, parts.disks.create)
    answers.to(disk.DemoteDisk, parts.disks.demote)
    answers.to(disk.DescribeDevices, parts.disks.describe_devices)
    answers.to(disk.DescribeDisks, parts.disks.describe)
    answers.to(disk.DetachDisk, parts.disks.detach)
    answers.to(disk.DisconnectDisk, parts.disks.disconnect)
    answers.to(disk.DetachMirrorChildren, parts.disks.detach_mirror_children)
    answers.to(disk.GrowDiskCall, parts.disks.grow)
    answers.to(disk.PauseResync, parts.disks.pause)
    answers.to(disk.PromoteDisk, parts.disks.promote)
    answers.to(disk.RemoveDisk, parts.disks.remove)
    answers.to(disk.RenameDisk, parts.disks.rename)
    answers.to(disk.SetDiskOwner, parts.disks.record_owner)
    answers.to(disk.SnapshotDisk, parts.disks.snapshot)
    answers.to(disk.AttachMirrorChildren, parts.disks.attach_mirror_children)
    answers.to(disk.WipeDisk, parts.disks.wipe)

    answers.to(storage.DescribeProviders, parts.providers.describe_providers)
    answers.to(storage.ListStorageCall, parts.units.show)
    answers.to(storage.ListVolumesCall, parts.units.volumes)
    answers.to(storage.ModifyStorageCall, parts.units.modify)
    answers.to(storage.RepairStorageCall, parts.units.repair)

    answers.to(quorum.DescribeVote, parts.voter.describe)
    answers.to(quorum.ReleaseLease, parts.voter.release_lease)
    answers.to(quorum.RenewLease, parts.voter.renew)
    answers.to(quorum.RequestVote, parts.voter.request)

    answers.to(guest_lease.DenyGuestLeases, parts.guest_lease.deny)
    answers.to(guest_lease.ExtendGuestLease, parts.guest_lease.extend)
    answers.to(guest_lease.ProveClean, parts.guest_lease.prove_clean)
    answers.to(guest_lease.RenewGuestLease, parts.guest_lease.renew)

    required = parts.candidacy.required
    answers.to(replica.DescribeReplica, required(parts.replica.describe))
    answers.to(replica.StoreCheckpoint, required(parts.replica.replace_checkpoint))
    answers.to(replica.AppendFrames, required(parts.replica.append_frames))
    answers.to(replica.OpenReplica, required(parts.replica.open))
    answers.to(replica.ReadFrames, required(parts.replica.read_frames))
    answers.to(replica.ResetReplica, required(parts.replica.reset))

    answers.to(image.AcceptImage, parts.library.accept_file)
    answers.to(image.CheckImage, parts.library.check_copy)
    answers.to(image.DiscardUpload, parts.library.discard_upload)
    answers.to(image.ReadSignedChecksum, parts.signatures.read_signed_checksum)
    answers.to(image.RemoveImageCopy, parts.library.remove_copy)

    answers.to(transfer.DescribeTransfers, parts.transfers.status)
    answers.to(transfer.CreateCertificate, parts.keys.create)
    answers.to(transfer.DescribeExport, parts.exports.describe)
    answers.to(transfer.FinalizeExport, parts.exports.finalize)
    answers.to(transfer.RemoveTransfer, parts.transfers.remove_transfer)
    answers.to(transfer.ListExports, parts.exports.list)
    answers.to(transfer.RemoveCertificate, parts.keys.remove)
    answers.to(transfer.RemoveExportCall, parts.exports.remove)
    answers.to(transfer.StartExport, parts.transfers.start_export)
    answers.to(transfer.StartImport, parts.transfers.start_import)
    return answers
