# SPDX-License-Identifier: BSD-2-Clause
"""Loading Twisted and msgspec without modules of which they hardly use more than the names.

Those cost each daemon some 6 MiB and 40 ms, and pyOpenSSL twice as much again. A stand-in has what
is used of such a module while others are loaded, and gives way to the module itself when more of
it is wanted: everything works as before, and other versions of Twisted at worst load more.
"""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

_LEVELS = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}


_TYPES = (
    *("Concatenate", "NotRequired", "ParamSpec", "Required", "Self", "TypeAlias", "TypedDict"),
    "get_type_hints",
)


def _type_variable(name: str, *bounds: Any, default: Any = None, **settings: Any) -> Any:
    return typing.TypeVar(name, *bounds, **settings)


_USED: Mapping[str, Mapping[str, Any]] = {
    "asyncio": {
        "AbstractEventLoop": object,
        "Future": object,
        "iscoroutine": inspect.iscoroutine,
    },
    "html": {"escape": None},
    "http.cookiejar": {},
    "ipaddress": {},
    "logging": {
        **_LEVELS,
        "getLevelName": {level: name for name, level in _LEVELS.items()}.__getitem__,
    },
    "pickle": {},
    "typing_extensions": {
        **{name: getattr(typing, name) for name in _TYPES},
        "TypeVar": _type_variable,
        "override": lambda method: method,
    },
}
"""What is used, while it is loaded, of modules that no daemon needs."""


class _StandIn(ModuleType):
    """Has a few names of a module, and loads the module when asked for another one."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(import_module(self.__name__), name)


@contextmanager
def leaner_imports() -> Iterator[None]:
    """While this lasts, Twisted and msgspec are imported for less; what is loaded already stays."""
    modules: dict[str, ModuleType | None] = sys.modules  # type: ignore[assignment]
    # No connection of the daemons that load this way uses pyOpenSSL (see ganeti.system.tls), but
    # each further part of Twisted looks for it. A None means "not installed".
    modules.setdefault("OpenSSL", None)
    instead: dict[str, ModuleType | None] = {name: _stand_in(name) for name in _USED}
    instead["ctypes"] = None  # which is for Windows
    instead = {name: module for name, module in instead.items() if name not in modules}
    modules.update(instead)
    try:
        yield
    finally:
        for name, module in instead.items():
            if modules.get(name, ...) is module:
                del modules[name]


def _stand_in(name: str) -> _StandIn:
    stand_in = _StandIn(name)
    vars(stand_in).update(_USED[name])
    return stand_in
