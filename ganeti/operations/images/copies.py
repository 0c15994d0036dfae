# SPDX-License-Identifier: BSD-2-Clause
"""How a node gets a copy of an image: from another node, or else from where it was downloaded.

An image is named by the digest of its content, so that a copy from anywhere is as good as another
one if its digest is right, which the node verifies before it is used.
"""

from __future__ import annotations

from collections.abc import Iterator

from ganeti.config.changes.images import record_copies
from ganeti.config.state import ClusterState
from ganeti.errors import Code, Failed, GanetiError, JobCanceled, Refused
from ganeti.model.guest import Guest
from ganeti.model.images import LibraryImage
from ganeti.model.instance import Instance
from ganeti.model.node import Node
from ganeti.operations.backup.running_transfers import RunningTransfers
from ganeti.operations.images.image_names import recorded_image
from ganeti.operations.operation import Tools
from ganeti.rpc.images import AcceptImage, CheckImage, ImagePresence
from ganeti.rpc.transfers import ImageData, UrlSource

POLL_INTERVAL = 1.0
"""Seconds between two questions whether a copy that another job transfers has arrived."""


async def require_copy(image: LibraryImage, node: Node, tools: Tools) -> None:
    """Return when ``node`` has a verified copy of ``image``.

    :raises Failed: no source has an intact copy; with what was tried.
    """
    while not await _is_present(image, node, tools):
        try:
            await _obtain(image, node, tools)
        except Refused as e:
            # Another job has begun to transfer it since the check.
            if e.code is not Code.TEMPORARY:
                raise
            await tools.progress.interruptible(tools.time.sleep(POLL_INTERVAL))
        else:
            break
    await _record(image, node, tools)


async def require_image(instance: Instance, guest: Guest, node: Node, tools: Tools) -> None:
    """Return when a node has the image of the library that a guest is installed from, if it is one.

    :raises Failed: as ``require_copy``.
    :raises Refused: the library has the image no more.
    """
    image = recorded_image(instance, guest.osparams, tools.config.state())
    if image is not None:
        await require_copy(image, node, tools)


async def _is_present(image: LibraryImage, node: Node, tools: Tools) -> bool:
    """Return whether there is an intact copy; wait for one that is on its way."""
    waits = False
    while True:
        check = tools.nodes.ask(node, CheckImage(digest=image.digest))
        found = await tools.progress.interruptible(check)
        if found is not ImagePresence.ARRIVING:
            return found is ImagePresence.PRESENT
        if not waits:
            waits = True
            tools.progress.log_message(
                f"waiting for image {image.name}, which another job transfers to {node.name}"
            )
        await tools.progress.interruptible(tools.time.sleep(POLL_INTERVAL))


async def _obtain(image: LibraryImage, node: Node, tools: Tools) -> None:
    tried: list[str] = []
    for source in _sources(image, node, tools.config.state()):
        try:
            await _copy(image, source, node, tools)
        except Failed as e:
            tried.append(f"node {source.name}: {e}")
            tools.progress.log_message(
                f"image {image.name} cannot be copied from {source.name} to {node.name}: {e}"
            )
            await _recheck(image, source, tools)
        else:
            return
    if not image.url:
        raise Failed(
            f"no node that can be reached has an intact copy of image {image.name}"
            f" ({'; '.join(tried) or 'nor is any known'}); add it again: gnt-os image remove"
            f" {image.name}, then gnt-os image add {image.name}",
            Code.ENVIRONMENT,
        )
    sink = ImageData(file=image.file)
    async with RunningTransfers(tools) as transfers:
        what = f"download of image {image.name} to {node.name}"
        await transfers.fetch(node, what, UrlSource(url=image.url), sink)
        await transfers.wait_for_all()
        await _accept(image, node, tools)


def _sources(image: LibraryImage, node: Node, state: ClusterState) -> Iterator[Node]:
    """Yield the nodes to copy from, those of the same node group first, as these are near."""
    # The record may have changed since the job began.
    newest = state.images.get(image.name, image)
    known = newest.nodes if newest.digest == image.digest else image.nodes
    found = [state.nodes[uuid] for uuid in known if uuid in state.nodes and uuid != node.uuid]
    found = [each for each in found if not each.offline]
    yield from sorted(found, key=lambda each: (each.group != node.group, each.name))


async def _copy(image: LibraryImage, source: Node, node: Node, tools: Tools) -> None:
    """Copy an image between two nodes.

    :raises Failed: it cannot be transferred, or has another content.
    """
    data = ImageData(file=image.file)
    try:
        async with RunningTransfers(tools) as transfers:
            await transfers.between(source, node, f"image {image.name}", data, data)
            await transfers.wait_for_all()
            await _accept(image, node, tools)
    except Refused as e:
        if e.code is Code.TEMPORARY:
            raise
        raise Failed(str(e), e.code) from e


async def _accept(image: LibraryImage, node: Node, tools: Tools) -> None:
    call = AcceptImage(file=image.file, checksums=(image.digest,))
    await tools.progress.interruptible(tools.nodes.ask(node, call))


async def _recheck(image: LibraryImage, source: Node, tools: Tools) -> None:
    """Let a node verify its copy, and record if it has none."""
    try:
        found = await tools.nodes.ask(source, CheckImage(digest=image.digest))
    except GanetiError:
        return  # it may have one
    if found is ImagePresence.ABSENT:
        await tools.config.change(record_copies(image.digest, lost=[source.uuid]))


async def _record(image: LibraryImage, node: Node, tools: Tools) -> None:
    known = tools.config.state().images.get(image.name)
    if known is not None and node.uuid not in known.nodes:
        await tools.config.change(record_copies(image.digest, added=[node.uuid]))


async def make_second_copy(image: LibraryImage, first: Node, tools: Tools) -> tuple[str, ...]:
    """Copy an image to a second node; return the UUIDs of the nodes that have it.

    So it survives the loss of one node, also if its URL has another image by then. If this fails,
    the job's log says so.
    """
    state = tools.config.state()
    others = [node for node in state.nodes.values() if node.uuid != first.uuid and not node.offline]
    # Nodes that may have instances are those that need a copy sooner or later.
    others.sort(key=lambda node: (not node.vm_capable, not node.master_candidate, node.name))
    for node in others:
        try:
            await _copy(image, first, node, tools)
        except JobCanceled:
            raise
        except GanetiError as e:
            tools.progress.log_message(f"image {image.name} is not on {node.name}: {e}")
        else:
            return (first.uuid, node.uuid)
    if others:
        tools.progress.log_message(
            f"image {image.name} is only on {first.name}; other nodes get it when they need it"
        )
    return (first.uuid,)
