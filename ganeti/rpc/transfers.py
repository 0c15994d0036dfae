# SPDX-License-Identifier: BSD-2-Clause
"""Calls about transfers of data between disks, exports and other clusters."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from ganeti.model.guest import Guest
from ganeti.model.images import ImageUrl
from ganeti.rpc.backup_calls import BackupData, BackupSink, BackupSource
from ganeti.rpc.call import FAST, NO_TIMEOUT, NORMAL, URGENT, Call
from ganeti.schema.records import Record
from ganeti.schema.types import Integer, Line, Lines, Number

ExportName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*\Z", max_length=255)]
"""The name of an export, which is a directory."""

DumpName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*\Z", max_length=255)]

ImageFile = Annotated[str, Meta(pattern=r"^(sha256|download|upload)-[0-9a-f]{64}\Z")]
"""The name of a file with an image, or with a part of one, on a node."""

UploadName = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")]
"""The name of a complete upload on the host that it was sent to."""

Magic = Annotated[str, Meta(pattern=r"^[-_.a-zA-Z0-9]{5,100}\Z")]
"""The token that a sender transmits first, by which the receiver identifies the transfer."""

PEER = "ganeti.example.com"
"""The name in the certificates of moves. It is not checked; certificates are pinned instead."""

NEW = ".new"
"""The suffix of the name of an unfinished export."""


class DiskData(Record, tag="disk"):
    """The data of a guest's disk, through its OS definition's export scripts or ``raw``."""

    guest: Guest
    index: Integer
    raw: bool


class ExportData(Record, tag="export"):
    """A dump in an export; ``path`` is its directory, absolute or below the export directory."""

    path: Line
    dump: DumpName


class ImageData(Record, tag="image"):
    """A copy of an image; as a sink, what is not accepted yet (``AcceptImage``)."""

    file: ImageFile


class UploadData(Record, tag="upload"):
    """An image that was uploaded to this host."""

    upload: UploadName


class UrlSource(Record, tag="url"):
    """An image that the node downloads; an interrupted download is continued."""

    url: ImageUrl


class Trust(Record, omit_defaults=True):
    """The TLS keys of a transfer; by default those of the nodes.

    ``key`` is the name of a key from ``CreateCertificate``; ``peer`` is the certificate (PEM) that
    the other end must present.
    """

    key: Line | None = None
    peer: Lines | None = None


class PeerSource(Record, tag="from-peer"):
    """Data from another node, which connects to ``address`` within ``patience`` seconds."""

    address: Line
    magic: Magic
    patience: Number
    trust: Trust = Trust()


class PeerSink(Record, tag="to-peer"):
    """A node that waits for a connection; its certificate must have ``name``."""

    host: Line
    port: Integer
    magic: Magic
    patience: Number
    tries: Integer
    name: Line
    trust: Trust = Trust()


class StartedTransfer(Record, omit_defaults=True):
    """A transfer that has started: its name on the node, and the port where it waits."""

    name: str
    port: Integer | None = None


class StartImport(Call[StartedTransfer]):
    """Start to receive data, or to restore a dump or a backup from this node."""

    wire = "import_start"
    call_timeout = NORMAL

    source: PeerSource | ExportData | UploadData | UrlSource | BackupData
    sink: DiskData | ExportData | ImageData | BackupSink


class StartExport(Call[StartedTransfer]):
    """Start to send data, or to dump a disk or store it in a repository on this node."""

    wire = "export_start"
    call_timeout = NORMAL

    source: DiskData | ExportData | ImageData | BackupSource | BackupData
    sink: PeerSink | ExportData | BackupSink


class TransferStatus(Record, omit_defaults=True):
    """The progress of a transfer: bytes, bytes per second, seconds; ``expected`` if known.

    A transfer that is ``over`` without a ``problem`` is complete and durable.
    """

    connected: bool
    moved: Integer
    rate: Number
    expected: Integer | None = None
    eta: Number | None = None
    over: bool = False
    problem: str | None = None


class DescribeTransfers(Call[list[TransferStatus | None]]):
    """Return the progress of transfers in the order of ``names``; None for unknown ones.

    A transfer whose progress is not queried for some minutes is stopped and removed.
    """

    wire = "impexp_status"
    call_timeout = URGENT

    names: tuple[Line, ...]


class RemoveTransfer(Call[None]):
    """Stop a transfer if it is running, and remove it; removing an unknown one succeeds."""

    wire = "impexp_cleanup"
    call_timeout = URGENT

    name: Line


class NewCertificate(Record):
    """A generated key: its name on the node, and the certificate (PEM) for peers."""

    name: str
    certificate: str


class CreateCertificate(Call[NewCertificate]):
    """Generate a key with a self-signed certificate that is valid for ``validity`` seconds."""

    wire = "x509_cert_create"
    call_timeout = URGENT

    validity: Integer


class RemoveCertificate(Call[None]):
    """Remove a key; removing an unknown one succeeds."""

    wire = "x509_cert_remove"
    call_timeout = URGENT

    name: Line


class ListExports(Call[list[str]]):
    """Return the names of the exports on the node."""

    wire = "export_list"
    call_timeout = FAST


class DescribeExport(Call[str]):
    """Return the description in an export; ``path`` is as for ``ExportData``."""

    wire = "export_info"
    call_timeout = FAST

    path: Line


class FinalizeExport(Call[None]):
    """Write the description of an unfinished export, and rename it to its final name.

    An existing export with this name is replaced.
    """

    wire = "finalize_export"
    call_timeout = NO_TIMEOUT

    name: ExportName
    description: Lines


class RemoveExportCall(Call[None]):
    """Remove an export; removing an unknown one succeeds."""

    wire = "export_remove"
    call_timeout = NO_TIMEOUT

    name: ExportName
