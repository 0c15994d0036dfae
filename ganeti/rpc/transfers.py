# SPDX-License-Identifier: BSD-2-Clause
"""Calls about data on its way between disks, exports and other clusters, and what it needs."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from ganeti.model.guest import Guest
from ganeti.rpc.call import FAST, NORMAL, URGENT, WHILE_ALIVE, Call
from ganeti.schema.records import Record
from ganeti.schema.types import Integer, Line, Lines, Number

ExportName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*\Z", max_length=255)]
"""The name of an export, which is that of a folder."""

DumpName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*\Z", max_length=255)]

Magic = Annotated[str, Meta(pattern=r"^[-_.a-zA-Z0-9]{5,100}\Z")]
"""What a sender says first, so that a receiver knows what it gets."""

PEER = "ganeti.example.com"
"""Whom the certificates of moves name: what counts is which certificate it is."""

NEW = ".new"
"""Ends the name of an export that is being made."""


class OfDisk(Record, tag="disk"):
    """The content of a disk of a guest: as its OS definition's scripts see it, or ``raw``."""

    guest: Guest
    index: Integer
    raw: bool


class OfExport(Record, tag="export"):
    """A dump in an export: ``path`` is its folder, absolute or below the folder of exports."""

    path: Line
    dump: DumpName


class Trust(Record, omit_defaults=True):
    """Which keys both ends of a transfer use: those of the cluster's nodes, or others.

    ``key`` names one made by ``CreateCertificate``; ``peer`` is the certificate, in PEM, of
    whoever may be at the other end.
    """

    key: Line | None = None
    peer: Lines | None = None


class FromPeer(Record, tag="from-peer"):
    """What another node sends: it connects to ``address`` within ``patience`` seconds."""

    address: Line
    magic: Magic
    patience: Number
    trust: Trust = Trust()


class ToPeer(Record, tag="to-peer"):
    """A node that awaits us; ``name`` is what its certificate must say."""

    host: Line
    port: Integer
    magic: Magic
    patience: Number
    tries: Integer
    name: Line
    trust: Trust = Trust()


class Started(Record, omit_defaults=True):
    """A transfer that has begun: its name on the node, and the port at which it is awaited."""

    name: str
    port: Integer | None = None


class StartImport(Call[Started]):
    """Begin to receive data, or to restore a dump that is on this node."""

    wire = "import_start"
    call_timeout = NORMAL

    source: FromPeer | OfExport
    sink: OfDisk | OfExport


class StartExport(Call[Started]):
    """Begin to send data, or to dump a disk on this node."""

    wire = "export_start"
    call_timeout = NORMAL

    source: OfDisk | OfExport
    sink: ToPeer | OfExport


class TransferStatus(Record, omit_defaults=True):
    """How far a transfer is: bytes, bytes per second, seconds; ``expected`` as far as known.

    One that is ``over`` without a ``problem`` has brought everything to its place.
    """

    connected: bool
    moved: Integer
    rate: Number
    expected: Integer | None = None
    eta: Number | None = None
    over: bool = False
    problem: str | None = None


class AskTransfers(Call[list[TransferStatus | None]]):
    """How far transfers are, in the order of ``names``; None for one that there is not.

    A transfer that nobody asks for is stopped after some minutes, and forgotten.
    """

    wire = "impexp_status"
    call_timeout = URGENT

    names: tuple[Line, ...]


class ForgetTransfer(Call[None]):
    """Stop a transfer if need be, and forget it; one that is not there is forgotten."""

    wire = "impexp_cleanup"
    call_timeout = URGENT

    name: Line


class NewCertificate(Record):
    """A key that was made: its name on the node, and the certificate, in PEM, for peers."""

    name: str
    certificate: str


class CreateCertificate(Call[NewCertificate]):
    """Make a key that is valid for ``validity`` seconds, with a certificate of its own."""

    wire = "x509_cert_create"
    call_timeout = URGENT

    validity: Integer


class RemoveCertificate(Call[None]):
    """Remove a key; removing one that is not there succeeds."""

    wire = "x509_cert_remove"
    call_timeout = URGENT

    name: Line


class ListExports(Call[list[str]]):
    """The names of the exports on the node."""

    wire = "export_list"
    call_timeout = FAST


class DescribeExport(Call[str]):
    """The text of the description in an export's folder, as ``OfExport`` names it."""

    wire = "export_info"
    call_timeout = FAST

    path: Line


class FinalizeExport(Call[None]):
    """Put the description into an export that is being made, and give it its name.

    What had the name before is replaced.
    """

    wire = "finalize_export"
    call_timeout = WHILE_ALIVE

    name: ExportName
    description: Lines


class RemoveExportCall(Call[None]):
    """Remove an export; removing one that is not there succeeds."""

    wire = "export_remove"
    call_timeout = WHILE_ALIVE

    name: ExportName
