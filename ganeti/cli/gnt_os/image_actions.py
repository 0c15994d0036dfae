# SPDX-License-Identifier: BSD-2-Clause
"""What ``gnt-os image`` does."""

from __future__ import annotations

import os
import sys
from typing import BinaryIO

from ganeti.bootstrap.image_upload import remove_upload, store_upload
from ganeti.cli.command import Arguments, Document
from ganeti.cli.input_files import read_error, read_lines
from ganeti.cli.job_polling import carry_out
from ganeti.cli.output import objects, timestamp
from ganeti.cli.progress_bar import ProgressBar
from ganeti.cli.session import FAILURE, ExitTool, Session
from ganeti.cli.value_output import require_found, show_values
from ganeti.luxi.methods import Query
from ganeti.model.work_progress import WorkProgress
from ganeti.opcodes.opcode import Opcode
from ganeti.opcodes.registry import read_opcode
from ganeti.query.list_arguments import build_filter

_FIELDS = (
    *("name", "digest", "format", "bytes", "virtual_size", "url", "checksum", "signed_by"),
    *("node_list", "inst_list", "ctime"),
)
_NO_UPLOAD = "0" * 32
"""In place of an upload, for requests that only show what would be done."""


def add(session: Session, arguments: Arguments) -> int:
    """Add an image from a URL, or from a file of this host."""
    names = ("image_name", "url", "checksum", "signature", "node")
    document: Document = {name: arguments[name] for name in names if name in arguments}
    if "key" in arguments:
        document["key"] = "\n".join(read_lines(arguments["key"]))
    path = arguments.get("file")
    if path is None:
        return carry_out(session, arguments, _opcode(document))
    if "node" in document:
        raise ExitTool(FAILURE, "--node is for downloads; a file is on this host")
    document |= {"upload": _NO_UPLOAD, "node": session.host()}
    # Before the copy, which may take long.
    opcode = _opcode(document)
    if arguments.get("dry_run") or arguments.get("plan"):
        return carry_out(session, arguments, opcode)
    upload = _upload(session, path)
    try:
        return carry_out(session, arguments, _opcode({**document, "upload": upload}))
    finally:
        if not arguments.get("submit"):
            # The job has removed it, unless it could not begin.
            remove_upload(session.paths, upload)


def _opcode(document: Document) -> Opcode:
    return read_opcode({"OP_ID": "OP_IMAGE_ADD", **document})


def _upload(session: Session, path: str) -> str:
    """Copy a file to the uploads of this host; return the name of the upload."""
    if path == "-":
        if sys.stdin is None:
            raise read_error(path, "there is none")
        return _copy(session, sys.stdin.buffer, 0)
    try:
        with open(path, "rb", buffering=0) as file:
            return _copy(session, file, os.fstat(file.fileno()).st_size)
    except OSError as e:
        raise read_error(path, e.strerror or str(e)) from None


def _copy(session: Session, file: BinaryIO, size: int) -> str:
    bar = ProgressBar(session)
    try:
        return store_upload(
            session.paths,
            file,
            lambda done: _show(bar, done, size),
        )
    finally:
        bar.erase()


def _show(bar: ProgressBar, done: int, size: int) -> None:
    if size:
        bar.repaint(WorkProgress("copying the image", 100 * min(1.0, done / size), None))


def info(session: Session, arguments: Arguments) -> int:
    """Show the details of images."""
    names = arguments.get("names", [])
    asked = Query(what="image", fields=_FIELDS, qfilter=build_filter(names))
    images = objects(session.ask(asked))
    told = {
        each["name"]: {
            "digest": each["digest"],
            "format": each["format"],
            "size": f"{each['bytes']} bytes",
            "needs a disk of": f"{each['virtual_size']} MiB",
            "URL": each["url"] or "-",
            "verified with": each["checksum"] or "-",
            "signed by": each["signed_by"] or "-",
            "copies on nodes": each["node_list"],
            "instances installed from it": each["inst_list"],
            "added": timestamp(each["ctime"]),
        }
        for each in images
    }
    show_values(session, arguments, images, told)
    require_found(names, images, "image", "gnt-os image")
    return 0
