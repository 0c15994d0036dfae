# SPDX-License-Identifier: BSD-2-Clause
"""An opcode of a job: as it was submitted, and as it is stored."""

from __future__ import annotations

import msgspec

from ganeti.opcodes.opcode import Opcode
from ganeti.opcodes.registry import decode_opcode
from ganeti.opcodes.writing import REDACTED, Secrecy, get_secrecy, redact, to_storage

_encoder = msgspec.json.Encoder()


class OpcodeInput:
    """An opcode as it was submitted, with its stored form, which contains no secrets.

    The stored form is decoded on first access: a queue of thousands of ended jobs loads without
    decoding their opcodes.
    """

    __slots__ = ("_opcode", "raw")

    def __init__(self, raw: bytes, opcode: Opcode | None = None) -> None:
        self.raw = raw
        self._opcode = opcode

    @classmethod
    def from_opcode(cls, opcode: Opcode) -> OpcodeInput:
        """Return the input of a newly submitted opcode."""
        document = to_storage(opcode)
        if secret := _list_secrets(opcode):
            shown = redact(opcode)
            document.update({name: shown[name] for name in secret})
        return cls(_encoder.encode(document), opcode)

    @property
    def opcode(self) -> Opcode:
        """The opcode; it has its secrets until the job ends or the master restarts.

        :raises Invalid: the opcode was stored by another version and is unknown to this one.
        """
        if self._opcode is None:
            self._opcode = decode_opcode(self.raw)
        return self._opcode

    @property
    def lacks_secrets(self) -> bool:
        """Whether the opcode was submitted with secrets that are no longer known."""
        opcode = self.opcode
        return any(_is_redacted(getattr(opcode, name)) for name in _list_secrets(opcode))

    def without_secrets(self) -> OpcodeInput:
        """Return this input without secrets."""
        return (
            OpcodeInput(self.raw)
            if self._opcode is not None and _list_secrets(self._opcode)
            else self
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OpcodeInput) and self.raw == other.raw

    def __hash__(self) -> int:
        return hash(self.raw)

    def __repr__(self) -> str:
        return f"Input({self.raw!r})"


def _list_secrets(opcode: Opcode) -> list[str]:
    """Return the names of the secret parameters that are set in ``opcode``."""
    return [
        name
        for name, how in get_secrecy(type(opcode)).items()
        if how is Secrecy.SECRET and getattr(opcode, name) is not None
    ]


def _is_redacted(value: object) -> bool:
    if isinstance(value, dict):
        return any(map(_is_redacted, value.values()))
    return bool(value == REDACTED)
