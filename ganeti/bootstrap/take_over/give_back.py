# SPDX-License-Identifier: BSD-2-Clause
"""The way back to Ganeti: its files are put in their place again, on each node by itself."""

from __future__ import annotations

import os
import shutil
import stat
import uuid
from collections.abc import Iterator
from urllib.parse import unquote

import msgspec

from ganeti.bootstrap.blocking_files import at_once, local_files, read_ssconf
from ganeti.bootstrap.daemons import MASTERD, NODED, RAPI
from ganeti.bootstrap.journal_copy import read as read_copy
from ganeti.bootstrap.take_over.folder_exchange import GANETI, exchange_for_ganetis
from ganeti.bootstrap.take_over.ganeti_folder import (
    FolderPaths,
    GanetiFolder,
    describe_version,
    read_folder,
)
from ganeti.config.formats import ConfigDataEncoder, loaded
from ganeti.config.reservations import with_reservations
from ganeti.config.state import ClusterState
from ganeti.config.take_over import give_back as configuration_of_ganeti
from ganeti.errors import Code, Refused
from ganeti.journal.etcd.store_settings import read_settings
from ganeti.paths import Paths
from ganeti.system.pidfile import holder

SAME_FORMAT = 3_000_000
"""The first version of Ganeti that reads the configuration of this software."""

ORIGINAL = "config.data.before-take-over"
"""Ganeti's last configuration, where the present one has taken its name."""


def give_back(paths: Paths, name: str) -> list[str]:
    """Put the files of Ganeti in their place again on this node; return what was done.

    On the master, Ganeti's configuration becomes the present one. Our files are kept beside.

    :raises Refused: something stands in the way; the message says what, and what to do.
    :raises OSError: a file cannot be read or written; nothing was changed.
    """
    exchange = exchange_for_ganetis(paths)
    if not exchange.under_way:
        check_way_back(paths, name)
        done = _restore_configuration(paths, name, _ganetis(paths))
    else:
        done = ["the way back, which was interrupted, was continued"]
    exchange.carry_out()
    return [*done, f"the files of Ganeti are in {paths.data} again, ours in {exchange.old}"]


def _ganetis(paths: Paths) -> Paths:
    """Return the paths of Ganeti's files, which were put aside."""
    return FolderPaths(f"{paths.data}/{GANETI}", paths.root)


def check_way_back(paths: Paths, name: str) -> None:
    """Check that the files of Ganeti can be put in their place again on this node.

    :raises Refused: something stands in the way; the message says what, and what to do.
    """
    before = _ganetis(paths)
    if not os.path.exists(before.node_certificate):
        raise Refused(
            f"{before.data} does not exist: this node was not taken over from Ganeti, so that there"
            " is nothing to go back to",
            Code.STATE,
        )
    if problems := list(_find_obstacles(paths, name)):
        raise Refused("; ".join(problems), Code.STATE)


def _find_obstacles(paths: Paths, name: str) -> Iterator[str]:
    daemons = (RAPI, MASTERD, NODED)
    running = [each for each in daemons if holder(f"{paths.run}/{each}.pid") is not None]
    if running:
        yield (
            f"{', '.join(running)} of this node must be stopped first: systemctl stop ganeti, or"
            " daemon-util stop all"
        )
    if guests := _list_own_guests(paths):
        yield (
            f"Ganeti would not find these guests, which this software has started:"
            f" {', '.join(guests)}; shut them down first, while the daemons run (gnt-instance"
            " shutdown), and start them with Ganeti"
        )
    if read_settings(local_files(), paths.state_store) and _is_master(paths, name):
        yield (
            "the state of the cluster is in etcd; move it to files first, while the daemons run:"
            " gnt-cluster modify --state-store file"
        )


def _list_own_guests(paths: Paths) -> list[str]:
    """Return the guests that were started since the take-over and are running."""
    folder = f"{paths.run}/kvm/control"
    found = []
    for file in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
        stem, extension = os.path.splitext(file)
        if extension == ".pid" and _is_alive(f"{folder}/{file}"):
            found.append(unquote(stem))
    return found


def _is_alive(pid_file: str) -> bool:
    """Return whether the QEMU that has written a pid file is running."""
    text = (GanetiFolder.read(pid_file) or b"").strip()
    arguments = GanetiFolder.read(f"/proc/{int(text)}/cmdline") if text.isdigit() else None
    # The number may have been given to another process; QEMU has the path as an argument.
    return pid_file.encode() in (arguments or b"").split(b"\0")


def _is_master(paths: Paths, name: str) -> bool:
    return read_ssconf(paths, "master_node") == name


def _restore_configuration(paths: Paths, name: str, before: Paths) -> list[str]:
    if not _is_master(paths, name):
        return []
    original = f"{before.data}/{ORIGINAL}"
    # Only once: a later attempt would copy what this one has written.
    if not os.path.exists(original):
        shutil.copy2(before.config_file, original)
    folder = read_folder(before.data, configuration=original)
    if folder.version < SAME_FORMAT:
        shutil.copy2(original, before.config_file)
        lost = "changes since then are not in it"
        return [f"Ganeti {describe_version(folder)} has its configuration of before; {lost}"]
    state = configuration_of_ganeti(_read_present(paths), folder.state)
    document = msgspec.json.decode(ConfigDataEncoder().text(state, version=folder.version))
    earlier = msgspec.json.decode(GanetiFolder.read(original) or b"")
    _replace(before.config_file, msgspec.json.encode(with_reservations(document, earlier)))
    # Ganeti does not assign the numbers of our jobs again.
    ours = (GanetiFolder.read(f"{paths.queue}/serial") or b"").strip()
    last = max(folder.serial, int(ours) if ours.isdigit() else 0)
    if os.path.isdir(before.queue):
        _replace(f"{before.queue}/serial", b"%d\n" % last)
    return [f"Ganeti has the present configuration, with serial number {state.serial_no}"]


def _read_present(paths: Paths) -> ClusterState:
    """Return the present configuration, also if the master daemon was never started."""
    if not os.listdir(paths.journal):
        text = local_files().read(paths.config_file)
        return loaded(text, ids=lambda: str(uuid.uuid4()))
    return read_copy(local_files(), paths.data).state


def _replace(path: str, content: bytes) -> None:
    """Replace the content of a file of Ganeti's, which its daemons own."""
    found = os.stat(path if os.path.exists(path) else os.path.dirname(path))
    mode = stat.S_IMODE(found.st_mode) & 0o660
    at_once(local_files().replace(path, content, mode=mode))
    os.chown(path, found.st_uid, found.st_gid)
