# SPDX-License-Identifier: BSD-2-Clause
"""On whose behalf the remote API asks the master, which decides what that caller may do."""

from __future__ import annotations

from ganeti.model.users import Role
from ganeti.schema.records import Record
from ganeti.schema.types import Line


class Caller(Record):
    """The sender of a request. The master looks up its rights with each request.

    ``user`` is a user of the cluster, whose password the remote API has checked; ``digest`` is
    then that of the hash that it was checked against. With ``role`` it is one of the users file,
    or, with an empty name, a client that has not logged in. With ``external`` an OpenID provider
    vouches for the user, and for its being in ``groups``. ``token`` and ``session`` are the ids of
    what was shown instead of a password, with the ``digest`` of the secret in it. ``source`` is
    the address of the client.
    """

    user: Line = ""
    role: Role | None = None
    external: bool = False
    groups: tuple[Line, ...] = ()
    token: Line = ""
    session: Line = ""
    digest: Line = ""
    source: Line = ""

    @property
    def anonymous(self) -> bool:
        """Return whether the caller has not logged in."""
        return not (self.user or self.token or self.session)
