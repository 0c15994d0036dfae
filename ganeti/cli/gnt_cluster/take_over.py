# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-cluster adopt``: take a cluster over from Ganeti, and give it back."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ganeti.bootstrap.local_host import LocalHost
from ganeti.bootstrap.take_over.adopt import Joining, adopt, invite, is_interrupted, resume
from ganeti.bootstrap.take_over.examination import Examination, examine
from ganeti.bootstrap.take_over.ganeti_folder import read_folder
from ganeti.bootstrap.take_over.give_back import check_way_back, give_back
from ganeti.cli.command import Arguments
from ganeti.cli.gnt_cluster.membership import start_commands
from ganeti.cli.session import BAD_OPTION, FAILURE, ExitTool, Session
from ganeti.model.node import Node


def adopt_cluster(session: Session, arguments: Arguments) -> int:
    """Examine the folder of a cluster that Ganeti runs, and make this host its master."""
    if arguments.get("give_back"):
        return _return_to_ganeti(session, arguments)
    if (given := arguments.get("folder")) is None:
        raise ExitTool(BAD_OPTION, f"give the folder of Ganeti, such as {session.paths.data}")
    check_only = bool(arguments.get("check"))
    if is_interrupted(session.paths):
        return _resume(session, check_only=check_only)
    folder = read_folder(given)
    found = examine(folder, session.paths, session.host(), LocalHost())
    _show(session, found)
    if found.obstacles:
        return FAILURE
    if check_only:
        session.print_line(f"Nothing stands in the way: gnt-cluster adopt {given}")
        return 0
    adopt(session.paths, folder, new_rapi_certificate=bool(arguments.get("new_rapi_certificate")))
    cluster = folder.state.cluster.cluster_name
    session.print_line(f"Cluster {cluster} is taken over; {session.host()} is its master.")
    _show_next_steps(session, invite(session.paths, folder), drained=folder.drained)
    return 0


def _resume(session: Session, *, check_only: bool) -> int:
    if check_only:
        session.print_line(
            "A take-over was interrupted; the same command without --check completes it."
        )
        return FAILURE
    folder = resume(session.paths)
    session.print_line("The take-over that was interrupted is complete.")
    _show_next_steps(session, invite(session.paths, folder), drained=folder.drained)
    return 0


def _return_to_ganeti(session: Session, arguments: Arguments) -> int:
    if any(arguments.get(name) for name in ("folder", "new_rapi_certificate")):
        raise ExitTool(BAD_OPTION, "--give-back takes no folder, and no option but --check")
    if arguments.get("check"):
        check_way_back(session.paths, session.host())
        session.print_line("Nothing stands in the way on this node.")
        return 0
    for line in give_back(session.paths, session.host()):
        session.print_line(f"{line[0].upper()}{line[1:]}.")
    session.print_line(
        "Start the daemons of Ganeti when this was done on all nodes, those of the nodes"
    )
    session.print_line(
        "first, then run gnt-cluster redist-conf and gnt-cluster verify, with Ganeti."
    )
    return 0


def _show(session: Session, found: Examination) -> None:
    for title, lines in (
        ("This comes over:", found.comes),
        ("This is different afterwards:", found.differs),
        ("This stands in the way, and nothing was changed:", found.obstacles),
    ):
        if lines:
            session.print_line(title)
            for line in lines:
                session.print_line(f"  - {line}")


def _show_next_steps(
    session: Session, joining: Sequence[Joining], *, drained: bool = False
) -> None:
    root, host = session.paths.root, session.host()
    systemd = not root and os.path.isdir("/run/systemd/system")
    session.print_line("Start the daemons of this host:")
    for command in start_commands(root, host, systemd=systemd):
        session.print_line(f"  {command}")
    if drained:
        session.print_line("  gnt-cluster queue undrain")
    if joining:
        session.print_line("Then run on each node, as root, within an hour:")
    for each in joining:
        session.print_line(f"  {each.node.name}: {_join_command(root, each)}")
    if joining:
        session.print_line("and here, when its node daemon runs:")
    for each in joining:
        session.print_line(f"  {_readd_command(each.node)}")
    session.print_line("At last: gnt-cluster verify")


def _join_command(root: str, joining: Joining) -> str:
    below = f"GANETI_ROOTDIR=FOLDER GANETI_HOSTNAME={joining.node.name} " if root else ""
    return f"echo {joining.token} | {below}ganeti-noded --join - --rejoin"


def _readd_command(node: Node) -> str:
    return f"gnt-node add --readd --joined {node.name}"
