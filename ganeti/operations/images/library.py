# SPDX-License-Identifier: BSD-2-Clause
"""Operations that add images to the library, remove and rename them."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import partial

from ganeti.config.changes.images import (
    add_image,
    check_unused,
    find_image,
    remove_image,
    rename_image,
)
from ganeti.config.state import ClusterState
from ganeti.errors import Code, Failed, GanetiError, Invalid, Problem, Refused
from ganeti.locking.names import LockRequest
from ganeti.model.images import LibraryImage, find_image_url_problem
from ganeti.model.node import Node
from ganeti.model.parameters.filling import policy_of
from ganeti.model.parameters.parsing import DEFAULT
from ganeti.opcodes.images import AddImage, RemoveImage, RenameImage
from ganeti.operations.backup.running_transfers import RunningTransfers
from ganeti.operations.images.copies import POLL_INTERVAL, make_second_copy
from ganeti.operations.images.image_names import installed_from
from ganeti.operations.operation import (
    AnyOperation,
    NodeAnswers,
    Operation,
    ResultWithCommit,
    Tools,
)
from ganeti.operations.undo import Undo
from ganeti.pki.openpgp import remove_armor
from ganeti.rpc.images import (
    AcceptImage,
    DiscardUpload,
    ImageReport,
    ReadSignedChecksum,
    RemoveImageCopy,
)
from ganeti.rpc.transfers import ImageData, UploadData, UrlSource
from ganeti.schema.records import replace

_MIB = 1 << 20
_UPLOAD = re.compile(r"[0-9a-f]{32}")
_MAX_SHOWN = 10


@dataclass(frozen=True)
class _NoLocks:
    """A plan that needs no locks: the file of an image has the digest of its content as its name,
    so that no other job can see another content."""

    @property
    def locks(self) -> LockRequest:
        return {}


@dataclass(frozen=True)
class ImageAddition(_NoLocks):
    """An image to add, and the node that gets it first.

    ``created`` is in seconds since the epoch.
    """

    op: AddImage
    node: Node
    created: int

    @property
    def source(self) -> UrlSource | UploadData:
        if self.op.upload is not None:
            return UploadData(upload=self.op.upload)
        assert self.op.url is not None
        return UrlSource(url=self.op.url)

    @property
    def sink(self) -> ImageData:
        """The file for the data; that of a URL is the same each time, to continue a download."""
        kind, name = ("upload", self.op.upload) if self.op.upload else ("download", self.op.url)
        return ImageData(file=f"{kind}-{hashlib.sha256(str(name).encode()).hexdigest()}")


@dataclass(frozen=True)
class ImageRemoval(_NoLocks):
    """An image to remove, the nodes with a copy, and instances that were installed from it.

    Without ``last``, another image has the same content, and the copies stay.
    """

    image: LibraryImage
    nodes: tuple[Node, ...]
    instances: tuple[str, ...]
    last: bool


@dataclass(frozen=True)
class ImageRenaming(_NoLocks):
    """An image and its new name."""

    name: str
    new_name: str


def plan_add(op: AddImage, state: ClusterState, facts: NodeAnswers) -> ImageAddition:
    """Plan to add an image, whose name must be unused."""
    _check_name(op.image_name, "image_name")
    _check_sources(op)
    check_unused(state, op.image_name)
    node = state.master if op.node is None else state.node(op.node)
    if node.offline:
        raise Refused(f"node {node.name} is offline; choose another one with --node")
    return ImageAddition(op, node, int(facts.since or 0))


def _check_name(name: str, path: str) -> None:
    """Check that a name can be given as a parameter of an instance.

    :raises Invalid: it is a word that does not stand for itself there.
    """
    if name in (DEFAULT, "none"):
        raise Invalid([Problem(path, f"{name} has another meaning; choose another name")])


def _check_sources(op: AddImage) -> None:
    """Check where the image is to come from, and how it is verified.

    :raises Invalid: with all problems.
    """
    problems = []
    if (op.url is None) == (op.upload is None):
        problems.append(Problem("url", "give the URL of the image, or upload a file, and not both"))
    if op.upload is not None:
        if not _UPLOAD.fullmatch(op.upload):
            problems.append(Problem("upload", "is not the name of an upload"))
        if op.node is None:
            problems.append(Problem("node", "is required with an upload, which is on one node"))
    for name in ("url", "signature"):
        url = getattr(op, name)
        if url is not None and (wrong := find_image_url_problem(url)) is not None:
            problems.append(Problem(name, wrong))
    if op.url is not None and op.checksum is None and op.signature is None:
        problems.append(
            Problem("checksum", "is required with a URL, unless there is a signature and a key")
        )
    if (op.signature is None) != (op.key is None):
        problems.append(Problem("key", "a signature and a key are needed together"))
    if op.signature is not None and op.url is None:
        problems.append(
            Problem("signature", "is for images from a URL; verify the file before the upload")
        )
    if op.key is not None:
        try:
            remove_armor(op.key)
        except Invalid as e:
            problems += e.problems
    if problems:
        raise Invalid(problems)


async def run_add(plan: ImageAddition, tools: Tools) -> ResultWithCommit:
    op, node = plan.op, plan.node
    try:
        received = await _receive(plan, tools)
    finally:
        if op.upload is not None:
            await _discard_upload(op.upload, node, tools)
    report = received.report
    image = LibraryImage(
        uuid=op.image_name,
        created=plan.created,
        digest=report.digest,
        size=report.size,
        virtual_size=report.virtual_size,
        format=report.format,
        url=op.url or "",
        checksum=next(iter(received.checksums), ""),
        signed_by=report.signed_by,
        nodes=(node.uuid,),
    )
    async with Undo(tools.progress) as undo:
        undo.by(
            f"remove image {image.name} from {node.name}",
            partial(_remove_unless_used, image.digest, node, tools),
        )
        _check_size(image, tools.config.state())
        check_unused(tools.config.state(), image.name)
        nodes = await make_second_copy(image, node, tools)
    return ResultWithCommit(image.digest, add_image(replace(image, nodes=nodes)))


@dataclass(frozen=True)
class _Received:
    """An image that has arrived, and the digests that it was verified with."""

    report: ImageReport
    checksums: tuple[str, ...]


async def _receive(plan: ImageAddition, tools: Tools) -> _Received:
    """Let the node download the image or take the upload, verify and inspect it."""
    op, node, ask = plan.op, plan.node, tools.nodes.ask
    checksums: tuple[str, ...] = () if op.checksum is None else (op.checksum,)
    signature, key, signed_by = op.signature or "", op.key or "", ""
    if op.url is not None and signature:
        call = ReadSignedChecksum(url=op.url, signature=signature, key=key)
        signed = await tools.progress.interruptible(ask(node, call))
        if signed.checksum is not None:
            checksums = _join_checksums(checksums, signed.checksum)
            signature, signed_by = "", signed.signed_by
    async with RunningTransfers(tools) as transfers:
        await _begin(plan, transfers, tools)
        await transfers.wait_for_all()
        accept = AcceptImage(
            file=plan.sink.file,
            checksums=checksums,
            signature=signature,
            key=key if signature else "",
        )
        report = await tools.progress.interruptible(ask(node, accept))
    return _Received(replace(report, signed_by=report.signed_by or signed_by), checksums)


async def _begin(plan: ImageAddition, transfers: RunningTransfers, tools: Tools) -> None:
    """Start the transfer, when that of an earlier job to the same file has ended."""
    upload = plan.op.upload is not None
    what = "upload" if upload else f"download to {plan.node.name}"
    waits = False
    while True:
        try:
            await transfers.fetch(
                plan.node, f"image {plan.op.image_name}: {what}", plan.source, plan.sink
            )
        except Refused as e:
            if e.code is not Code.TEMPORARY:
                raise
            if not waits:
                waits = True
                tools.progress.log_message(f"waiting: {e}")
            await tools.progress.interruptible(tools.time.sleep(POLL_INTERVAL))
        else:
            return


def _join_checksums(given: tuple[str, ...], signed: str) -> tuple[str, ...]:
    """Return the digests to verify.

    :raises Refused: the signed one contradicts the given one.
    """
    if given and given[0].partition(":")[0] == signed.partition(":")[0] and given[0] != signed:
        raise Refused(
            f"the signed list has the digest {signed}, and the given checksum is {given[0]}; check"
            " that both are of the same version of the image",
            Code.INPUT,
        )
    return tuple(dict.fromkeys((*given, signed)))


def _check_size(image: LibraryImage, state: ClusterState) -> None:
    """Check that an instance could have a disk that is large enough for the image.

    :raises Refused: no instance policy allows it.
    """
    needed = -(-image.virtual_size // _MIB)
    policies = [policy_of(state.cluster, group) for group in state.groups.values()]
    largest = max(each.max.disk_size for policy in policies for each in policy.minmax)
    if needed > largest:
        raise Refused(
            f"image {image.name} needs a disk of {needed} MiB, and the instance policies allow at"
            f" most {largest} MiB; make the image smaller, or allow larger disks: gnt-cluster"
            " modify --ipolicy-bounds-specs",
            Code.INPUT,
        )


async def _discard_upload(upload: str, node: Node, tools: Tools) -> None:
    try:
        await tools.nodes.ask(node, DiscardUpload(upload=upload))
    except GanetiError as e:
        # The next upload to this node removes old ones.
        tools.progress.log_message(f"the upload stays on {node.name} for now: {e}")


async def _remove_unless_used(digest: str, node: Node, tools: Tools) -> None:
    """Remove a copy that no image of the library refers to."""
    if all(image.digest != digest for image in tools.config.state().images.values()):
        await tools.nodes.ask(node, RemoveImageCopy(digest=digest))


def plan_remove(op: RemoveImage, state: ClusterState, facts: NodeAnswers) -> ImageRemoval:
    """Plan to remove an image.

    Instances that were installed from it are no reason to refuse that, as they do not need it any
    more; only to install them again takes another image.
    """
    image = find_image(state, op.image_name)
    others = [
        each
        for each in state.images.values()
        if each.digest == image.digest and each.name != image.name
    ]
    return ImageRemoval(
        image,
        tuple(state.nodes[uuid] for uuid in image.nodes if uuid in state.nodes),
        () if others else tuple(sorted(installed_from(image.digest, state))),
        not others,
    )


async def run_remove(plan: ImageRemoval, tools: Tools) -> ResultWithCommit:
    image = plan.image
    # Before the configuration changes: if this is interrupted, the command can be repeated.
    for node in plan.nodes if plan.last else ():
        try:
            await tools.nodes.ask(node, RemoveImageCopy(digest=image.digest))
        except Failed as e:
            tools.progress.log_message(
                f"a copy stays on {node.name}: {e}; remove it there, in the folder os/image of the"
                f" node daemon's cache: {image.file}"
            )
    if plan.instances:
        some = ", ".join(plan.instances[:_MAX_SHOWN])
        more = len(plan.instances) - _MAX_SHOWN
        tools.progress.log_message(
            f"instances that were installed from image {image.name} keep running, but need another"
            f" image to be reinstalled: {some}{f' and {more} more' if more > 0 else ''}"
        )
    return ResultWithCommit(None, remove_image(image.name))


def plan_rename(op: RenameImage, state: ClusterState, facts: NodeAnswers) -> ImageRenaming:
    """Plan another name for an image, which must be unused."""
    find_image(state, op.image_name)
    _check_name(op.new_name, "new_name")
    check_unused(state, op.new_name)
    return ImageRenaming(op.image_name, op.new_name)


async def run_rename(plan: ImageRenaming, tools: Tools) -> ResultWithCommit:
    return ResultWithCommit(plan.new_name, rename_image(plan.name, plan.new_name))


OPERATIONS: tuple[AnyOperation, ...] = (
    Operation(AddImage, plan_add, run_add),
    Operation(RemoveImage, plan_remove, run_remove),
    Operation(RenameImage, plan_rename, run_rename),
)
