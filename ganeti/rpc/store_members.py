# SPDX-License-Identifier: BSD-2-Clause
"""Calls about the member of etcd on a node, if the cluster runs the members of its state store."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from ganeti.rpc.call import URGENT, Call
from ganeti.schema.records import Record
from ganeti.schema.types import Line, Lines


class MemberAddress(Record):
    """The name of a member, which is that of its node, and the address where it listens."""

    name: Line
    address: Line


class MemberSettings(Record, omit_defaults=True):
    """A member, as it is kept on its node.

    ``id`` is what etcd calls it, in hex; the first member of a cluster does not know it. ``peers``
    are the members at its first start, with this one. ``founds`` says that it is the first one.
    ``issued_with`` identifies the certificate of its node when its own one was issued.

    While the authority of the members is replaced, ``trusts`` are the fingerprints of those that
    it accepts, and ``issuer`` is the one that has issued its certificate. Otherwise they are empty,
    and mean the only authority, or the older one.
    """

    name: Line
    address: Line
    id: Annotated[str, Meta(pattern=r"\A[0-9a-f]{0,16}\Z")] = ""
    peers: tuple[MemberAddress, ...]
    founds: bool = False
    issued_with: Line = ""
    trusts: tuple[Line, ...] = ()
    issuer: Line = ""


class StoreMemberReport(Record):
    """The member on a node: its settings, if there is one, and whether it has data and runs."""

    settings: MemberSettings | None = None
    has_data: bool = False
    runs: bool = False


class DescribeStoreMember(Call[StoreMemberReport]):
    """Return what a node has of a member."""

    wire = "store_member_describe"
    call_timeout = URGENT


class ConfigureStoreMember(Call[None]):
    """Have a node run this member; it is started in the background.

    ``authority`` are the certificates that it accepts, ``certificate`` its key with its own; an
    empty one leaves what it has. With ``fresh``, the data of another member is removed, as this one
    was added without data.
    """

    wire = "store_member_configure"
    call_timeout = URGENT

    settings: MemberSettings
    authority: Lines
    certificate: Lines
    fresh: bool = False


class RemoveStoreMember(Call[bool]):
    """Stop the member of a node, and remove its data; return whether there was one."""

    wire = "store_member_remove"
    call_timeout = URGENT
