# SPDX-License-Identifier: BSD-2-Clause
"""The library of images: disk images with a name, from which instances are installed."""

from __future__ import annotations

import re
from typing import Annotated, TypeAlias
from urllib.parse import urlsplit

from msgspec import Meta

from ganeti.schema.records import Record
from ganeti.schema.types import CHECKSUM, LABEL, PRINTABLE_ASCII, UUID, Count, Line, Text

ImageName: TypeAlias = Annotated[str, Meta(pattern=LABEL, max_length=64)]
"""The name of an image; without slash and colon, so that it is neither a path nor a URL."""

ImageUrl: TypeAlias = Annotated[str, Meta(pattern=PRINTABLE_ASCII, max_length=2048)]
"""Where an image can be downloaded, without spaces and characters outside of ASCII (RFC 3986)."""

Checksum: TypeAlias = Annotated[str, Meta(pattern=CHECKSUM)]
"""The digest of a file: ``sha256:`` or ``sha512:``, and hexadecimal digits."""

IMAGE_OS = "image"
"""The OS definition that installs images."""

_NAME = re.compile(LABEL)
_MAX_NAME = 64


class LibraryImage(Record):
    """An image of the library; ``uuid`` is its name.

    ``digest`` is the SHA-256 digest of the file, which identifies its content; ``checksum`` is the
    one that it was added with, if any. ``size`` is that of the file, ``virtual_size`` that of the
    disk in it, both in bytes. ``nodes`` are those that have a copy, as far as is known: the copy
    is verified before each use. ``signed_by`` is the fingerprint of the OpenPGP key that its
    signature was verified with.
    """

    uuid: ImageName
    created: Count
    digest: Checksum
    size: Count
    virtual_size: Count
    format: Text
    url: Line = ""
    checksum: Line = ""
    signed_by: Line = ""
    nodes: tuple[UUID, ...] = ()

    @property
    def name(self) -> str:
        return self.uuid

    @property
    def file(self) -> str:
        """The name of the file with a copy of the image on a node."""
        return self.digest.replace(":", "-")


def is_image_name(value: object) -> bool:
    """Return whether the parameter ``image`` of an OS definition is the name of an image."""
    return isinstance(value, str) and len(value) <= _MAX_NAME and bool(_NAME.match(value))


def find_image_url_problem(url: str) -> str | None:
    """Return why an image cannot be downloaded from ``url``, or None if it may be possible."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError as e:
        return f"is not a URL: {e}"
    if parts.scheme not in ("http", "https") or not host:
        return "must begin with http:// or https:// and the name of a host"
    if "@" in parts.netloc:
        return "must not have a user name or a password, as everyone sees it who lists images"
    return None


def shown_url(url: str) -> str:
    """Return a URL without its query, which may be a secret that permits the download."""
    return url.partition("?")[0]
