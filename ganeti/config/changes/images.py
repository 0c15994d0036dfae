# SPDX-License-Identifier: BSD-2-Clause
"""Changes of the library of images."""

from __future__ import annotations

from collections.abc import Collection

from ganeti.config.state import ClusterState
from ganeti.config.writer import Change
from ganeti.errors import Code, Refused
from ganeti.model.images import LibraryImage
from ganeti.schema.records import replace


def find_image(state: ClusterState, name: str) -> LibraryImage:
    """Return the image with this name.

    :raises Refused: it does not exist.
    """
    found = state.images.get(name)
    if found is None:
        raise Refused(f"image {name} does not exist; see gnt-os image list", Code.UNKNOWN)
    return found


def check_unused(state: ClusterState, name: str) -> None:
    """Check that no image has this name.

    :raises Refused: one has it.
    """
    if name in state.images:
        raise Refused(
            f"image {name} already exists; choose another name, or remove it first: gnt-os image"
            f" remove {name}",
            Code.EXISTS,
        )


def add_image(image: LibraryImage) -> Change:
    """Add an image, whose name must be unused; images with the same content share its copies."""

    def change(state: ClusterState) -> ClusterState:
        check_unused(state, image.name)
        same = [each for each in state.images.values() if each.digest == image.digest]
        nodes = {node for each in (image, *same) for node in each.nodes}
        return record_copies(image.digest, added=nodes)(state.put(image))

    return change


def remove_image(name: str) -> Change:
    """Remove an image; instances that were installed from it are not changed."""

    def change(state: ClusterState) -> ClusterState:
        return state.remove(find_image(state, name))

    return change


def rename_image(name: str, new_name: str) -> Change:
    """Give an image another name, which must be unused."""

    def change(state: ClusterState) -> ClusterState:
        check_unused(state, new_name)
        image = find_image(state, name)
        return state.remove(image).put(replace(image, uuid=new_name))

    return change


def record_copies(
    digest: str, *, added: Collection[str] = (), lost: Collection[str] = ()
) -> Change:
    """Record which nodes have a copy of an image; both are UUIDs.

    All images with this digest share the copies. An image that was removed stays removed.
    """

    def change(state: ClusterState) -> ClusterState:
        for image in state.images.values():
            if image.digest == digest:
                nodes = tuple(sorted({*image.nodes, *added} - set(lost)))
                if nodes != image.nodes:
                    state = state.put(replace(image, nodes=nodes))
        return state

    return change
