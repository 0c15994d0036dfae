# SPDX-License-Identifier: BSD-2-Clause
"""The node daemon, put together from its parts on the real operating system."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Awaitable
from typing import Any

from twisted.internet.threads import deferToThreadPool

from ganeti.daemon.listening import listen, reach
from ganeti.daemon.options import address_of, known_address
from ganeti.daemon.service import Running
from ganeti.daemon.tls import load, prove, server_context
from ganeti.hypervisor.fake import FakeHypervisor
from ganeti.hypervisor.interfaces import IHypervisor
from ganeti.node.answers import Parts, answers_of
from ganeti.node.checks import Checks
from ganeti.node.disks import Disks
from ganeti.node.enrolment import Enrolment
from ganeti.node.facts import Facts
from ganeti.node.files import Files
from ganeti.node.hooks import Hooks
from ganeti.node.instances import Instances
from ganeti.node.membership import Membership
from ganeti.node.oses import OSDefinitions
from ganeti.node.scripts import Scripts
from ganeti.node.terms import Terms
from ganeti.paths import Paths, name_of_this_node
from ganeti.rpc.serving import CallSite
from ganeti.storage.drivers import Doors, drivers, units
from ganeti.storage.folders import AllowedFolders
from ganeti.system.files import LocalFiles
from ganeti.system.images import LocalImages
from ganeti.system.notes import LocalNotes
from ganeti.system.processes import LocalProcesses
from ganeti.system.tls import TlsFactory, peer_name


async def start(reactor: Any, options: Namespace, paths: Paths) -> Running:
    """Listen for the master."""

    name = name_of_this_node()
    prove(paths, name)
    context = server_context(paths, strangers=True)
    files = LocalFiles(_in_thread(reactor))
    enrolment = Enrolment(
        files,
        time.time,
        certificate=paths.authority,
        key=paths.authority_key,
        spent=f"{paths.data}/enrolled",
    )
    answers = answers_of(parts_of(reactor, paths, name, options.port, files))
    site = CallSite(answers, peer_name, reactor, enrolment.open())
    address = options.bind or address_of(name, paths)
    port = listen(reactor, address, options.port, TlsFactory(context, site, reactor))

    async def stop() -> None:
        await port.stopListening()
        await site.quiet()
        site.hang_up()

    return Running(stop, reload=lambda: load(context, paths))


def parts_of(reactor: Any, paths: Paths, name: str, port: int, files: LocalFiles) -> Parts:
    """The parts of the node ``name``; its and its peers' daemons listen at ``port``."""

    images = LocalImages(_in_thread(reactor))
    processes = LocalProcesses(reactor, reactor)
    plain = Paths()  # what the configuration says is said of a host that is one node
    folders = AllowedFolders(
        files=files,
        resolve=images.resolve,
        listing=paths.file_storage_paths,
        defaults=(plain.file_storage, plain.shared_file_storage),
        root=paths.root,
    )
    doors = Doors(files, images, processes, folders)
    hypervisors: dict[str, IHypervisor] = {
        "fake": FakeHypervisor(LocalNotes(f"{paths.run}/fake-hypervisor")),
    }
    storage, places = drivers(doors), units(doors)
    disks = Disks(storage, images)
    oses = OSDefinitions(files, paths.os_search_path)
    scripts = Scripts(oses, processes, files, f"{paths.log}/os", time.time)
    return Parts(
        checks=Checks(
            files=files,
            paths=paths,
            clock=reactor,
            hypervisors=hypervisors,
            drivers=storage,
            units=places,
            folders=folders,
            oses=oses.all,
            reach=lambda host, port: reach(reactor, known_address(host, paths) or host, port),
            port=port,
        ),
        disks=disks,
        facts=Facts(files, hypervisors, places),
        files=Files(files, paths),
        hooks=Hooks(files, processes, paths.hooks),
        instances=Instances(hypervisors, disks.paths, scripts, reactor, name),
        membership=Membership(files, paths, reactor, reactor.stop),
        oses=oses,
        scripts=scripts,
        terms=Terms(files, paths.term_file),
    )


def _in_thread(reactor: Any) -> Any:
    def in_thread(function: Any, *arguments: Any, **named: Any) -> Awaitable[Any]:
        return deferToThreadPool(reactor, reactor.getThreadPool(), function, *arguments, **named)

    return in_thread
