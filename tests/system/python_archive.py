# SPDX-License-Identifier: BSD-2-Clause
"""Python with a program of this tree, as an archive that a kernel unpacks at its start.

Everything is compiled, and only what the program has loaded in a trial run is there: a host that is
emulated would need minutes to search and to compile the rest.
"""

from __future__ import annotations

import importlib.util
import json
import os
import py_compile
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from tools.mini_initrd import Archive
from tools.quickstart.place import TREE

PYTHON_HOME = "/python"
"""The folder of Python in the archive."""

_LIST_MODULES = """
import json, sys
print(json.dumps({
    name: module.__spec__.origin
    for name, module in list(sys.modules.items())
    if getattr(module, "__spec__", None) is not None and module.__spec__.has_location
}))
"""


def list_modules(program: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Run Python code, and return the files of all modules that it has loaded, by their names."""
    # -S, as in the archive there is no site.
    path = os.pathsep.join(
        [str(TREE), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"{program}\n{_LIST_MODULES}"],
        env={**os.environ, **environment, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return found


def add_python(archive: Archive, modules: Mapping[str, str]) -> None:
    """Add an interpreter, which is in ``PYTHON_HOME/bin``, and its modules to an archive."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    library = f"{PYTHON_HOME}/lib/python{version}"
    interpreter = os.path.realpath(sys.executable)
    files = {f"{PYTHON_HOME}/bin/python": Path(interpreter)}
    for name, origin in modules.items():
        files[f"{library}/{_place(name, origin)}"] = _compiled(origin)
    native = [interpreter, *(each for each in modules.values() if not each.endswith(".py"))]
    files |= {path: Path(path) for path in _list_libraries(native)}
    folders = {str(each) for path in files for each in Path(path).parents if str(each) != "/"}
    for folder in sorted(folders):
        archive.folder(folder.removeprefix("/"))
    for path, source in files.items():
        archive.file(path.removeprefix("/"), source.read_bytes(), 0o755)


def _place(name: str, origin: str) -> str:
    """Return where a module is looked for, without its source."""
    path = name.replace(".", "/")
    if not origin.endswith(".py"):
        return f"{os.path.dirname(path)}/{os.path.basename(origin)}".removeprefix("/")
    return f"{path}/__init__.pyc" if origin.endswith("/__init__.py") else f"{path}.pyc"


def _compiled(origin: str) -> Path:
    if not origin.endswith(".py"):
        return Path(origin)
    kept = Path(importlib.util.cache_from_source(origin))
    if not kept.exists():
        py_compile.compile(origin, str(kept), doraise=True)
    return kept


def _list_libraries(programs: Iterable[str]) -> Iterator[str]:
    """Yield the paths of the shared libraries that programs and modules need."""
    done = subprocess.run(["ldd", *programs], capture_output=True, text=True, check=False)
    yield from sorted(set(re.findall(r"(?:=> |^\t)(/\S+) \(0x", done.stdout, re.MULTILINE)))
