# SPDX-License-Identifier: BSD-2-Clause
"""Checks of new names and addresses."""

from __future__ import annotations

import ipaddress

from ganeti.errors import Invalid, Problem


def require_label(text: str, path: str) -> None:
    """Check the new name of a group or network, which appears in lists, text files and URLs.

    :raises Invalid: the name has characters that cannot be used there.
    """
    if not text.isprintable() or "/" in text or text != text.strip():
        rule = "must be printable, without slashes and without leading or trailing spaces"
        raise Invalid([Problem(path, rule)])


def require_address(text: str | None, path: str) -> None:
    """Check an IP address; None is accepted.

    :raises Invalid: it is not an IP address.
    """
    try:
        if text is not None:
            ipaddress.ip_address(text)
    except ValueError:
        raise Invalid([Problem(path, f"{text} is not an IP address such as 192.0.2.1")]) from None
