# SPDX-License-Identifier: BSD-2-Clause
"""An opcode inside a job: as it was asked for, and as it is stored."""

from __future__ import annotations

from typing import Any

import msgspec

from ganeti.opcodes.opcode import Opcode
from ganeti.opcodes.registry import decode_opcode
from ganeti.opcodes.writing import REDACTED, Secrecy, redacted, secrecy, storable

_encoder = msgspec.json.Encoder()


class OpcodeInput:
    """An opcode as it was asked for, and its stored form, which has no secrets.

    What was read from disk is understood only when somebody looks at it: a queue of thousands of
    jobs that have ended starts without reading their opcodes.
    """

    __slots__ = ("_opcode", "raw")

    def __init__(self, raw: bytes, opcode: Opcode | None = None) -> None:
        self.raw = raw
        self._opcode = opcode

    @classmethod
    def of(cls, opcode: Opcode) -> OpcodeInput:
        """The input of a job that was just submitted."""
        document = storable(opcode)
        if secret := _secrets(opcode):
            shown = redacted(opcode)
            document.update({name: shown[name] for name in secret})
        return cls(_encoder.encode(document), opcode)

    @property
    def opcode(self) -> Opcode:
        """The opcode; secrets are in it until the job has ended or the master restarted.

        :raises Invalid: it was stored by another version, and this one does not understand it.
        """
        if self._opcode is None:
            self._opcode = decode_opcode(self.raw)
        return self._opcode

    @property
    def lacks_secrets(self) -> bool:
        """Whether it was asked for with secrets that are not known any more."""
        opcode = self.opcode
        return any(_is_blacked_out(getattr(opcode, name)) for name in _secrets(opcode))

    def as_stored(self) -> OpcodeInput:
        """The same without secrets."""
        return (
            OpcodeInput(self.raw) if self._opcode is not None and _secrets(self._opcode) else self
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OpcodeInput) and self.raw == other.raw

    def __hash__(self) -> int:
        return hash(self.raw)

    def __repr__(self) -> str:
        return f"Input({self.raw!r})"


def _secrets(opcode: Opcode) -> list[str]:
    """The secret parameters that ``opcode`` has values for."""
    return [
        name
        for name, how in secrecy(type(opcode)).items()
        if how is Secrecy.SECRET and getattr(opcode, name) is not None
    ]


def _is_blacked_out(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_is_blacked_out, value.values()))
    return bool(value == REDACTED)
