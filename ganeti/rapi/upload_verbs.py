# SPDX-License-Identifier: BSD-2-Clause
"""The verb that receives an image as the body of a request."""

from __future__ import annotations

from dataclasses import dataclass

from ganeti.errors import Code, Invalid, Refused
from ganeti.luxi.methods import SubmitJob
from ganeti.opcodes.images import AddImage
from ganeti.rapi.authentication import AccessLevel
from ganeti.rapi.image_uploads import ImageUploads
from ganeti.rapi.request_arguments import (
    REASON,
    ArgumentType,
    QueryParameter,
    parse_parameters,
    refuse,
)
from ganeti.rapi.verbs import ApiCall, Services, reason_trail
from ganeti.schema.reading import read

CHECKSUM = QueryParameter(
    "checksum",
    ArgumentType.TEXT,
    "The digest of the image, sha256: or sha512: and hexadecimal digits, to be verified.",
)


@dataclass(frozen=True)
class receives_image:  # noqa: N801  # a word in a declaration
    """Receive an image, and submit the job that adds it to the library."""

    variable: str
    access: AccessLevel = AccessLevel.ADMIN
    parameters: tuple[QueryParameter, ...] = (CHECKSUM, REASON)

    @property
    def doc(self) -> str:
        return (
            "Add an image, which is the body; to go on with an interrupted upload, send the bytes"
            " that are missing, with the header Content-Range."
        )

    async def __call__(self, call: ApiCall) -> object:
        values, problems = parse_parameters(self.parameters, call.query)
        refuse(problems)
        if call.upload is None:
            uploads_of(call.services)
            raise Invalid("the body is empty; send the image as the body of the request")
        document: dict[str, object] = {
            "image_name": call.path[self.variable],
            "node": call.upload.node,
            "upload": "0" * 32,
            "checksum": values.get("checksum"),
            "reason": reason_trail(call, values.get("reason")),
        }
        # First, as an invalid request would leave the upload without a job.
        read(AddImage, document)
        upload = await call.upload.finish_upload()
        opcode = read(AddImage, {**document, "upload": upload})
        return await call.master.ask(SubmitJob(ops=(opcode,)))


def uploads_of(services: Services) -> ImageUploads:
    """Return the uploads of a server.

    :raises Refused: it takes none.
    """
    if services.uploads is None:
        raise Refused("this server takes no uploads", Code.STATE)
    return services.uploads
