# SPDX-License-Identifier: BSD-2-Clause
"""The resources of the library of images, and of uploads to it."""

from __future__ import annotations

from typing import TypedDict

from ganeti.luxi.methods import QueryImages
from ganeti.opcodes.images import AddImage, RemoveImage, RenameImage
from ganeti.rapi.authentication import AccessLevel
from ganeti.rapi.routes.route import Route
from ganeti.rapi.upload_verbs import receives_image, uploads_of
from ganeti.rapi.verbs import ApiCall, asks, lists, shows, submits

FIELDS = (
    *("name", "digest", "format", "size", "bytes", "virtual_size", "url", "checksum"),
    *("signed_by", "node_cnt", "node_list", "inst_cnt", "inst_list", "ctime"),
)


class UploadStatus(TypedDict):
    """How much has arrived of an image that is not complete, in bytes, and on which node."""

    received: int
    node: str


async def _show_upload(call: ApiCall, _: object, __: object) -> UploadStatus:
    """Return how many bytes have arrived of an incomplete upload to this server."""
    uploads = uploads_of(call.services)
    return {"received": uploads.received_size(call.path["image_name"]), "node": uploads.node}


async def _discard_upload(call: ApiCall, _: object, __: object) -> None:
    """Remove what has arrived of an incomplete upload to this server."""
    await uploads_of(call.services).remove_part(call.path["image_name"])


_ADMIN = AccessLevel.ADMIN
_ONE = "/2/images/{image_name}"

ROUTES = (
    Route(
        "/2/images",
        {
            "GET": lists(
                "image",
                "images",
                FIELDS,
                lambda fields: QueryImages(names=(), fields=fields),
                ("name",),
            ),
            "POST": submits(AddImage, renames={"name": "image_name"}, access=_ADMIN),
        },
    ),
    Route(
        _ONE,
        {
            "GET": shows("image", "image_name", FIELDS),
            "DELETE": submits(RemoveImage, access=_ADMIN),
        },
    ),
    Route(_ONE + "/rename", {"PUT": submits(RenameImage, access=_ADMIN)}),
    Route(
        _ONE + "/upload",
        {
            "GET": asks(_show_upload, access=_ADMIN, result=UploadStatus, unlimited=True),
            "PUT": receives_image("image_name"),
            "DELETE": asks(_discard_upload, access=_ADMIN, result=None, unlimited=True),
        },
    ),
)
