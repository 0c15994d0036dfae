# SPDX-License-Identifier: BSD-2-Clause
"""Unpredictable identifiers, from the operating system."""

from __future__ import annotations

import secrets
import uuid
from random import SystemRandom


class SystemIdentifiers:
    """Generates identifiers with the kernel's random number generator."""

    random = SystemRandom()

    def uuid(self) -> str:
        return str(uuid.uuid4())

    def secret(self) -> str:
        return secrets.token_hex(20)
