# SPDX-License-Identifier: BSD-2-Clause
"""Users of the remote API whose passwords can be read, or found out, where they are kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ganeti.config.state import ClusterState
from ganeti.opcodes.cluster import FindingCode as Code
from ganeti.operations.cluster.findings import Finding
from ganeti.operations.operation import AncillaryFile

USERS_FILE = "/rapi/users"
"""How the path of the users file ends."""

_MEND = "use a user of the cluster (gnt-access user add), or a {scrypt} hash"
_OLD = {
    "cleartext": f"has its password in the users file as it is; {_MEND}",
    "ha1": f"has its password in the users file as a hash of MD5, which is broken; {_MEND}",
}


def password_findings(state: ClusterState, files: Iterable[AncillaryFile]) -> Iterator[Finding]:
    """Return a warning for each user of the users file with an old scheme, or a name in both."""
    for file in files:
        if not file.path.endswith(USERS_FILE):
            continue
        for name, scheme in _users(file.content.decode("utf-8", "replace")):
            if (problem := _OLD.get(scheme)) is not None:
                yield _warning(name, problem)
            if name in state.users:
                yield _warning(
                    name, "is in the users file and a user of the cluster; the file decides"
                )


def _warning(name: str, problem: str) -> Finding:
    return Finding(Code.ECLUSTERCFG, "user", name, problem, warning=True)


def _users(text: str) -> Iterator[tuple[str, str]]:
    """The names in the users file, with the schemes of their passwords in lower case."""
    for line in text.splitlines():
        words = line.split()
        if len(words) < 2 or words[0].startswith("#"):
            continue
        stored = words[1]
        scheme = stored[1:].partition("}")[0].lower() if stored.startswith("{") else "cleartext"
        yield words[0], scheme
