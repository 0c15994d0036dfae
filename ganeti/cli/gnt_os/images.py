# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-os image``: the library of images, which the OS definition ``image`` installs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ganeti.cli.command import Command, Positional
from ganeti.cli.lazy import LazyModule
from ganeti.cli.listing import FORM, Listing, lists
from ganeti.cli.options import TEXT, Option

if TYPE_CHECKING:
    from ganeti.cli.gnt_os import image_actions as actions
else:
    actions = LazyModule("ganeti.cli.gnt_os.image_actions")

_NAME = Positional("image_name", "image")
_NEW_NAME = Positional("image_name", "image", new=True)
_LISTS = lists(
    Listing(
        what="image",
        columns=("name", "format", "size", "virtual_size", "node_list", "inst_cnt", "digest"),
    ),
    doc="List the images of the library.",
    words="image",
    units=True,
    watch=True,
)

COMMANDS = (
    *(msgspec.structs.replace(each, name=f"image {each.name}") for each in _LISTS),
    Command(
        name="image info",
        aliases=("image show",),
        doc="Show the details of images.",
        words=(Positional("names", "image", 0, None),),
        options=(FORM,),
        run=actions.info,
    ),
    Command(
        name="image add",
        doc="Add an image to the library: a node downloads it from a URL, or it is a file of this"
        " host. It is verified and inspected, and copied to a second node.",
        words=(_NEW_NAME,),
        options=(
            Option(("--url",), "url", "Where to download it: https://… or http://….", TEXT),
            Option(
                ("--file",),
                "file",
                "The image, in a file of this host, or with - from standard input.",
                TEXT,
                metavar="FILE",
            ),
            Option(
                ("--checksum",),
                "checksum",
                "Its digest: sha256: or sha512:, and the hexadecimal digits. Needed with a URL"
                " unless there is a signature.",
                TEXT,
            ),
            Option(
                ("--signature",),
                "signature",
                "Where to download an OpenPGP signature, of the image or of a list of digests such"
                " as SHA256SUMS. A detached one is beside the signed file, with its name and .gpg,"
                " .sign, .asc or .sig.",
                TEXT,
                metavar="URL",
            ),
            Option(
                ("--key",),
                "key",
                "The OpenPGP public keys that may have signed it, in ASCII armor.",
                TEXT,
                metavar="FILE",
            ),
            Option(
                ("--node",),
                "node",
                "The node that downloads it; by default the master.",
                TEXT,
                metavar="NODE",
            ),
        ),
        run=actions.add,
        submits=True,
    ),
    Command(
        name="image remove",
        opcode="OP_IMAGE_REMOVE",
        words=(_NAME,),
        confirm="Remove image {image_name}, with its copies on all nodes?",
    ),
    Command(
        name="image rename",
        opcode="OP_IMAGE_RENAME",
        words=(_NAME, Positional("new_name", "new-name")),
    ),
)
