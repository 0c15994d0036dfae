# SPDX-License-Identifier: BSD-2-Clause
"""Calls about the copies of images on a node; their transfers are in ``rpc.transfers``."""

from __future__ import annotations

import enum

from ganeti.model.images import Checksum
from ganeti.rpc.call import NO_TIMEOUT, NORMAL, URGENT, Call
from ganeti.rpc.transfers import ImageFile, UploadName
from ganeti.schema.records import Record
from ganeti.schema.types import Count, Line, Lines, Text


class ImagePresence(enum.StrEnum):
    """Whether a node has an intact copy of an image, or a transfer to it is running."""

    PRESENT = "present"
    ARRIVING = "arriving"
    ABSENT = "absent"


class CheckImage(Call[ImagePresence]):
    """Return whether the node has a copy with this content, which is read completely.

    A copy whose content has changed is removed.
    """

    wire = "image_check"
    call_timeout = NO_TIMEOUT

    digest: Checksum


class ImageReport(Record):
    """What an image is: its SHA-256 digest, and sizes in bytes.

    ``signed_by`` is the fingerprint of the key that has signed it, if that was asked for.
    """

    digest: Checksum
    size: Count
    virtual_size: Count
    format: Text
    signed_by: Line = ""


class AcceptImage(Call[ImageReport]):
    """Verify and inspect what a transfer has written to ``file``, and make it a copy of an image.

    The content must have the digests ``checksums``. With a ``signature``, a URL, the content
    must be signed with the OpenPGP ``key``. What is not accepted is removed.
    """

    wire = "image_accept"
    call_timeout = NO_TIMEOUT

    file: ImageFile
    checksums: tuple[Checksum, ...] = ()
    signature: Line = ""
    key: Lines = ""


class RemoveImageCopy(Call[None]):
    """Remove a copy of an image; removing one that does not exist succeeds."""

    wire = "image_remove"
    call_timeout = NORMAL

    digest: Checksum


class DiscardUpload(Call[None]):
    """Remove an upload; removing one that does not exist succeeds."""

    wire = "image_discard_upload"
    call_timeout = URGENT

    upload: UploadName


class SignedChecksum(Record):
    """What a signature says of an image.

    ``checksum`` is None if the image itself is signed, not a list of digests.
    """

    checksum: Checksum | None
    signed_by: Line


class ReadSignedChecksum(Call[SignedChecksum]):
    """Download a signature, and verify the list of digests that it signs with an OpenPGP key.

    ``url`` is that of the image, whose digest is looked up in the list.
    """

    wire = "image_read_signed_checksum"
    call_timeout = NORMAL

    url: Line
    signature: Line
    key: Lines
