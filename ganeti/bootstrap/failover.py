# SPDX-License-Identifier: BSD-2-Clause
"""Making this node the master instead of another one."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping

from ganeti import __version__
from ganeti.bootstrap.asking import Door, Peers
from ganeti.bootstrap.copy import read, take_over
from ganeti.bootstrap.daemons import MASTERD, RAPI, runs, start
from ganeti.bootstrap.renewal import renew_rapi_certificate
from ganeti.bootstrap.writing import at_once, local_files, ssconf_of, write_ssconf
from ganeti.config.ssconf import ssconf
from ganeti.errors import Code, Failed, GanetiError, Refused
from ganeti.paths import NODED_PORT, Paths
from ganeti.rpc.node import ClaimTerm, StopMaster, Vote
from ganeti.rpc.replicas import DescribeReplica, ReplicaEnd

Say = Callable[[str], None]


def become_master(
    paths: Paths,
    name: str,
    *,
    votes: bool = True,
    accept_loss: bool = False,
    say: Say = lambda _: None,
    port: int = NODED_PORT,
) -> None:
    """Make this node, ``name``, the master; its daemons run when this returns.

    A master daemon that runs elsewhere, on a node that answers, is ended first. Without ``votes``
    this is done although most nodes do not answer; with ``accept_loss`` although commits that were
    acknowledged may be missing here. ``say`` is told what is done. Done again, it goes on.

    :raises Refused: says what speaks against it, and what would make it possible.
    :raises Failed: something did not work; says what, and how far it came.
    """
    _refuse_if_pointless(paths, name)
    office = _Office(paths, name, port)
    office.look(votes)
    office.end_the_old(say)
    office.require_whole(accept_loss)
    office.claim(votes)
    say(f"{office.granted} of {len(office.peers.doors)} nodes have voted for {name}")
    state = at_once(take_over(local_files(), paths.data, name, now=time.time()))
    write_ssconf(paths, ssconf(state, release=__version__))
    if os.path.exists(paths.authority_key):
        renew_rapi_certificate(paths, only_own=True)
    else:
        say(f"{paths.authority_key} is not here: the remote API keeps its certificate")
    start(paths, MASTERD, *_told(votes, port))
    say(f"{MASTERD} runs on {name}")
    if not runs(paths, RAPI):
        start(paths, RAPI)
        say(f"{RAPI} runs on {name}")


def _told(votes: bool, port: int) -> list[str]:
    options = [] if votes else ["--no-voting"]
    return options if port == NODED_PORT else [*options, f"--node-port={port}"]


def _refuse_if_pointless(paths: Paths, name: str) -> None:
    if not os.path.exists(paths.node_certificate):
        raise Refused("this node is part of no cluster")
    if runs(paths, MASTERD):
        raise Refused(f"{MASTERD} runs on this node: it is the master already", Code.EXISTS)
    candidates = ssconf_of(paths, "master_candidates").splitlines()
    if name not in candidates:
        raise Refused(
            f"{name} is no master candidate, so it has no copy to go on from; run this on one of"
            f" {', '.join(candidates)}"
        )


class _Office:
    """The nodes, as this one sees them, and whom they obey."""

    def __init__(self, paths: Paths, name: str, port: int) -> None:
        offline = set(ssconf_of(paths, "offline_nodes").splitlines())
        known = dict(line.split(" ", 1) for line in _lines(paths, "node_primary_ips"))
        doors = [Door(node, ip, port) for node, ip in known.items() if node not in offline]
        self._paths = paths
        self._name = name
        self._before = ssconf_of(paths, "master_node")
        self.peers = Peers(paths, doors)
        self.votes: Mapping[str, Vote] = {}
        self.silent: Mapping[str, GanetiError] = {}
        self.granted = 0

    def look(self, votes: bool) -> None:
        """Ask every node whom it obeys, which promises nothing.

        :raises Refused: too few answer.
        """
        claim = ClaimTerm(term=0, master=self._name)
        self._sort(self.peers.ask_all(dict.fromkeys(self.peers.doors, (claim, 0))))
        if self._name not in self.votes:
            why = self.silent.get(self._name, "it is marked offline")
            raise Refused(f"this node's own node daemon must run: {why}")
        if votes and len(self.votes) * 2 <= len(self.peers.doors):
            silent = "; ".join(str(error) for error in self.silent.values())
            raise Refused(
                f"only {len(self.votes)} of {len(self.peers.doors)} nodes answer, and more than"
                f" half must agree ({silent}). If it is certain that no master daemon runs on"
                " any other node: --no-voting"
            )

    def end_the_old(self, say: Say) -> None:
        """See to it that no other master daemon runs, as far as nodes answer.

        :raises Failed: one does not end.
        """
        masters = {self._before, *(vote.master for vote in self.votes.values())}
        for master in sorted(masters - {self._name, ""}):
            if master not in self.votes:
                say(f"{master} does not answer; going on without it")
            elif self.peers.ask(master, StopMaster(), self.votes[master].term, patience=60.0):
                say(f"the master daemon of {master} has ended")

    def require_whole(self, accept_loss: bool) -> None:
        """Compare this node's copy of the journal with the others.

        :raises Refused: something that was acknowledged is missing here, or may be.
        """
        copy = read(local_files(), self._paths.data)
        candidates = {*_lines(self._paths, "master_candidates"), self._before}
        asked = {
            name: (DescribeReplica(), vote.term)
            for name, vote in self.votes.items()
            if name in candidates and name != self._name
        }
        ends = self.peers.ask_all(asked)
        ahead = {
            name: end.position
            for name, end in ends.items()
            if isinstance(end, ReplicaEnd) and end.position > copy.end
        }
        problems = [
            f"the copy on {name} has {position - copy.end} more commits"
            for name, position in ahead.items()
        ]
        if not copy.is_whole(self._name):
            problems.append("it was not in sync when the master last wrote who is")
        if problems and not accept_loss:
            better = max(ahead, key=lambda name: ahead[name], default="a candidate that is in sync")
            raise Refused(
                f"the copy of the journal on {self._name} may lack what was acknowledged:"
                f" {'; '.join(problems)}. Make {better} the master, or start the master daemon on"
                f" {self._before} once; to go on and lose it: --accept-loss"
            )

    def claim(self, votes: bool) -> None:
        """Have the nodes obey this one.

        :raises Failed: too few do.
        """
        masters = tuple(sorted({vote.master for vote in self.votes.values()} - {"", self._name}))
        claim = ClaimTerm(
            term=max(vote.term for vote in self.votes.values()) + 1,
            master=self._name,
            instead=masters if votes else None,
        )
        self._sort(self.peers.ask_all(dict.fromkeys(self.votes, (claim, 0))))
        self.granted = sum(vote.granted for vote in self.votes.values())
        mine = self.votes.get(self._name)
        if mine is None or not mine.granted or (votes and not self._most(self.granted)):
            raise Failed(
                f"only {self.granted} of {len(self.peers.doors)} nodes have voted for"
                f" {self._name}; see which node is the master (gnt-cluster getmaster), and do this"
                " again"
            )
        # Whatever an older master has sent here is done when this is answered.
        self.peers.ask(self._name, DescribeReplica(), mine.term)

    def _most(self, count: int) -> bool:
        return count * 2 > len(self.peers.doors)

    def _sort(self, answers: Mapping[str, Vote | GanetiError]) -> None:
        self.votes = {name: each for name, each in answers.items() if isinstance(each, Vote)}
        self.silent = {
            name: each for name, each in answers.items() if isinstance(each, GanetiError)
        }


def _lines(paths: Paths, key: str) -> list[str]:
    return ssconf_of(paths, key).splitlines()
