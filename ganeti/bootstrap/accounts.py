# SPDX-License-Identifier: BSD-2-Clause
"""The accounts of the daemons that need no powers of root, and the files that these daemons own.

An account has the name of its daemon. Where it is missing, in a cluster with a root folder of its
own, and for callers other than root, a daemon runs as the user that starts it.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from ganeti.paths import Paths

MASTERD, RAPI = "ganeti-masterd", "ganeti-rapi"

_OF_OTHERS = re.compile(r"etcd|export|ganeti-before|taken-over-\d+")
"""Folders of a member of etcd, the node daemon and a take-over in the data directory."""


@dataclass(frozen=True)
class Account:
    """A user, its group, and all of its groups, by number."""

    user: int
    group: int
    groups: tuple[int, ...]


def find_account(paths: Paths, daemon: str) -> Account | None:
    """Return the account that a daemon of this node changes to; None if it stays as it is."""
    if paths.root or os.geteuid() != 0 or daemon not in (MASTERD, RAPI):
        return None
    try:
        found = pwd.getpwnam(daemon)
    except KeyError:
        return None
    groups = os.getgrouplist(daemon, found.pw_gid)
    return Account(found.pw_uid, found.pw_gid, tuple(groups))


def change_to(account: Account) -> None:
    """Give up the powers of root."""
    # In this order: once the user is another one, the groups cannot be changed any more.
    os.setgroups(account.groups)
    os.setresgid(account.group, account.group, account.group)
    os.setresuid(account.user, account.user, account.user)


def give_files(paths: Paths, master: Account, api: Account) -> None:
    """Give the files of a node to the accounts of the master daemon and the remote API, as root.

    Files of the master that the remote API reads have the group of that, whose members may also
    create files in the folders of logs and pid files, but replace only their own. Links are not
    followed, also if an account replaces a file or folder by one meanwhile.
    """
    for path in (f"{paths.run}/{RAPI}.pid", f"{paths.log}/rapi-daemon.log"):
        if os.path.lexists(path):
            os.lchown(path, api.user, api.group)
    for folder, mode in ((paths.run, 0o1775), (paths.log, 0o1770)):
        os.makedirs(folder, exist_ok=True)
        os.lchown(folder, 0, api.group)
        os.chmod(folder, mode)
    os.makedirs(paths.uploads, mode=0o700, exist_ok=True)
    os.lchown(paths.uploads, api.user, api.group)
    # Both look for files in it; where there is no tmpfiles.d, a tool has made it for itself only.
    os.chmod(paths.data, 0o755)
    read_by_api = {
        paths.rapi_certificate,
        paths.node_certificate,
        os.path.dirname(paths.rapi_users),
        paths.rapi_users,
    }
    for top in (paths.data, paths.sockets, f"{paths.run}/sessions", f"{paths.run}/iallocators"):
        if not os.path.lexists(top):
            continue
        os.lchown(top, master.user, master.group)
        for folder, name, opened in _walk(top):
            shared = f"{folder}/{name}" in read_by_api
            with suppress(FileNotFoundError):  # replaced just now
                group = api.group if shared else master.group
                os.chown(name, master.user, group, dir_fd=opened, follow_symlinks=False)
                if shared:
                    _let_group_read(name, opened)
    for path in (f"{paths.run}/{MASTERD}.pid", f"{paths.log}/master-daemon.log"):
        if os.path.lexists(path):
            os.lchown(path, master.user, master.group)


def _walk(top: str) -> Iterator[tuple[str, str, int]]:
    """Yield the folder, the name and a descriptor of the folder of all that is below ``top``."""
    # With descriptors, as a folder of a path could be replaced by a link between two steps.
    for folder, folders, files, opened in os.fwalk(top):
        if folder == top:
            folders[:] = [name for name in folders if not _OF_OTHERS.fullmatch(name)]
        yield from ((folder, name, opened) for name in (*folders, *files))


def _let_group_read(name: str, folder: int) -> None:
    """Let the group of a file read it, or enter it if it is a folder; links are left alone."""
    try:
        # Without O_NONBLOCK, opening a FIFO would wait for a writer.
        opened = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except OSError as e:
        if e.errno == errno.ELOOP:
            return
        raise
    try:
        # By the descriptor, as the name may stand for a link by now, which chmod(2) would follow.
        os.fchmod(opened, 0o750 if stat.S_ISDIR(os.fstat(opened).st_mode) else 0o640)
    finally:
        os.close(opened)


def prepare(paths: Paths, daemon: str) -> Account | None:
    """Give the files of this node to the accounts of its daemons, if ``daemon`` has one.

    Return that account. It is called as root before each start of such a daemon: what ran before
    may have been another daemon, a tool, or a version without accounts.
    """
    master, api = find_account(paths, MASTERD), find_account(paths, RAPI)
    if master is None or api is None or daemon not in (MASTERD, RAPI):
        return None
    give_files(paths, master, api)
    return master if daemon == MASTERD else api


def find_group(paths: Paths, name: str) -> int | None:
    """Return the number of a group that this process may give files to; None if there is none."""
    if paths.root:
        return None
    try:
        found = grp.getgrnam(name).gr_gid
    except KeyError:
        return None
    return found if os.geteuid() == 0 or found in os.getgroups() else None
