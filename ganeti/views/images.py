# SPDX-License-Identifier: BSD-2-Clause
"""The fields of images of the library."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

from ganeti.config.changes.images import find_image
from ganeti.model.images import LibraryImage, shown_url
from ganeti.query.fields import Field, FieldStatus, FieldType, Table
from ganeti.views.snapshot import ClusterSnapshot, in_order, names_of

_MIB = 1 << 20


class ImageRow:
    """An image of the library as of a snapshot."""

    def __init__(self, moment: ClusterSnapshot, image: LibraryImage) -> None:
        self.moment = moment
        self.image = image

    @cached_property
    def nodes(self) -> list[str]:
        """The names of the nodes with a copy."""
        nodes = self.moment.nodes
        return names_of(nodes[uuid] for uuid in self.image.nodes if uuid in nodes)

    @cached_property
    def instances(self) -> list[str]:
        """The names of the instances that were installed from it."""
        return self.moment.installed_from.get(self.image.digest, [])


F = Field[ImageRow]

IMAGES: Table[ImageRow] = Table(
    (
        F("name", "Image", FieldType.TEXT, "The name of the image.", lambda row: row.image.name),
        F(
            "digest",
            "Digest",
            FieldType.TEXT,
            "The SHA-256 digest of the file.",
            lambda row: row.image.digest,
        ),
        F(
            "format",
            "Format",
            FieldType.TEXT,
            "The format of the file: raw or qcow2.",
            lambda row: row.image.format,
        ),
        F(
            "size",
            "Size",
            FieldType.UNIT,
            "The size of the file in MiB, rounded up.",
            lambda row: -(-row.image.size // _MIB),
        ),
        F(
            "bytes",
            "Bytes",
            FieldType.NUMBER,
            "The size of the file in bytes.",
            lambda row: row.image.size,
        ),
        F(
            "virtual_size",
            "VirtualSize",
            FieldType.UNIT,
            "The size of the disk that it needs in MiB, rounded up.",
            lambda row: -(-row.image.virtual_size // _MIB),
        ),
        F(
            "url",
            "URL",
            FieldType.TEXT,
            "Where it was downloaded, without the query; unavailable if it was uploaded.",
            lambda row: shown_url(row.image.url) or FieldStatus.UNAVAILABLE,
        ),
        F(
            "checksum",
            "Checksum",
            FieldType.TEXT,
            "The digest that it was verified with when it was added.",
            lambda row: row.image.checksum or FieldStatus.UNAVAILABLE,
        ),
        F(
            "signed_by",
            "SignedBy",
            FieldType.TEXT,
            "The fingerprint of the OpenPGP key that has signed it.",
            lambda row: row.image.signed_by or FieldStatus.UNAVAILABLE,
        ),
        F(
            "node_cnt",
            "Nodes",
            FieldType.NUMBER,
            "The number of nodes with a copy, as far as is known.",
            lambda row: len(row.nodes),
        ),
        F(
            "node_list",
            "NodeList",
            FieldType.OTHER,
            "The nodes with a copy, as far as is known.",
            lambda row: row.nodes,
        ),
        F(
            "inst_cnt",
            "Instances",
            FieldType.NUMBER,
            "The number of instances that were installed from it.",
            lambda row: len(row.instances),
        ),
        F(
            "inst_list",
            "InstanceList",
            FieldType.OTHER,
            "The instances that were installed from it.",
            lambda row: row.instances,
        ),
        F(
            "ctime",
            "CTime",
            FieldType.TIMESTAMP,
            "The time when it was added.",
            lambda row: row.image.created,
        ),
    )
)


def rows(moment: ClusterSnapshot, names: Iterable[str] | None = None) -> list[ImageRow]:
    """Return all images sorted by name, or those with these names in the given order.

    :raises Refused: if one of the images does not exist.
    """
    if names is None:
        found = in_order(moment.state.images.values(), lambda image: image.name)
    else:
        found = [find_image(moment.state, name) for name in names]
    return [ImageRow(moment, image) for image in found]
