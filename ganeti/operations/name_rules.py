# SPDX-License-Identifier: BSD-2-Clause
"""What new names and addresses may look like: they go into lists, files and paths."""

from __future__ import annotations

import ipaddress

from ganeti.errors import Invalid, Problem


def require_label(text: str, path: str) -> None:
    """Refuse a new name of a group or network that would break lists, files of lines, or URLs.

    :raises Invalid: it would.
    """
    if not text.isprintable() or "/" in text or text != text.strip():
        rule = "must be printable, without slashes, and without spaces at its ends"
        raise Invalid([Problem(path, rule)])


def require_address(text: str | None, path: str) -> None:
    """Refuse what is given and is no address.

    :raises Invalid: it is none.
    """
    try:
        if text is not None:
            ipaddress.ip_address(text)
    except ValueError:
        raise Invalid([Problem(path, f"{text} is not an address such as 192.0.2.1")]) from None
