# SPDX-License-Identifier: BSD-2-Clause
"""Names and numbers that nobody can guess, from the operating system."""

from __future__ import annotations

import secrets
import uuid
from random import SystemRandom


class SystemIdentifiers:
    """Identifiers out of the kernel's randomness."""

    random = SystemRandom()

    def uuid(self) -> str:
        return str(uuid.uuid4())

    def secret(self) -> str:
        return secrets.token_hex(20)
