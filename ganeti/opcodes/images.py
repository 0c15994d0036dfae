# SPDX-License-Identifier: BSD-2-Clause
"""Opcodes for the library of images, from which the OS definition ``image`` installs."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from ganeti.model.images import Checksum, ImageName, ImageUrl
from ganeti.opcodes.opcode import Opcode
from ganeti.schema.records import doc
from ganeti.schema.types import Lines, NodeName, Text

TheImage: TypeAlias = Annotated[ImageName, doc("Name of the image.")]


class AddImage(Opcode, tag="OP_IMAGE_ADD"):
    """Add an image to the library, from a URL or an upload; the result is its SHA-256 digest."""

    summary_field = "image_name"

    image_name: Annotated[ImageName, doc("Name of the new image.")]
    url: Annotated[
        ImageUrl | None, doc("Where a node downloads the image: https://… or http://….")
    ] = None
    checksum: Annotated[
        Checksum | None,
        doc(
            "Digest of the image: sha256: or sha512:, and the hexadecimal digits. Needed with a URL"
            " unless there is a signature."
        ),
    ] = None
    signature: Annotated[
        ImageUrl | None,
        doc(
            "Where a node downloads an OpenPGP signature: of the image, or of a list of digests"
            " such as SHA256SUMS; a detached one beside the signed file, with its name and .gpg,"
            " .sign, .asc or .sig."
        ),
    ] = None
    key: Annotated[
        Lines | None,
        doc("The OpenPGP public keys that may have signed it, in ASCII armor."),
    ] = None
    node: Annotated[
        NodeName | None,
        doc("The node that downloads the image, or has the upload; by default the master."),
    ] = None
    upload: Annotated[
        Text | None, doc("The name of an upload on the node, as the remote API has made it.")
    ] = None


class RemoveImage(Opcode, tag="OP_IMAGE_REMOVE"):
    """Remove an image from the library, and its copies from the nodes."""

    summary_field = "image_name"

    image_name: TheImage


class RenameImage(Opcode, tag="OP_IMAGE_RENAME"):
    """Rename an image of the library."""

    summary_field = "image_name"

    image_name: TheImage
    new_name: Annotated[ImageName, doc("New name.")]
