"""What of this machine's Python a program needs, for images that have nothing else."""

from __future__ import annotations

import py_compile
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from iexec_worker.errors import Fatal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: Where a program's own modules are in an image.
_PROGRAM: Final = "/enclave"

#: Answers the files of all modules that a program has loaded, its own ones included. What only
#: wants OpenSSL goes without: it would double the size. `idna` is loaded when a host is looked up.
_LIST: Final = """
import sys
sys.modules.update(_ssl=None, ssl=None, _hashlib=None)
sys.path.insert(0, sys.argv[1])
import encodings.idna, importlib
importlib.import_module(sys.argv[2])
print(*{m.__file__ for m in sys.modules.values() if getattr(m, "__file__", None)}, sep="\\n")
"""

#: As a script that the kernel starts, with nothing of the environment that changes Python.
_LAUNCHER: Final = """#!{python} -IS
import os, sys
sys.path.insert(0, "{program}")
from {module} import main
sys.exit(main("{part}", sys.argv[1:], os.environ))
"""

_LIBRARY: Final = re.compile(r"(/\S+) \(0x")
#: Older versions of glibc load these when they look up a name.
_LOOK_UP: Final = ("libnss_files.so.2", "libnss_dns.so.2", "libresolv.so.2")
_NAMES: Final = {"/etc/nsswitch.conf": b"hosts: files dns\n"}


def runtime(module: str) -> dict[str, bytes]:
    """
    All files that running *module* of this package takes, by their paths in an image.

    Interpreter, standard library and libraries have the paths they have here, compiled. Raises
    Fatal when this machine's Python cannot be taken along.
    """
    python, package = interpreter(), Path(__file__).parents[3]
    listed = _run(str(python), "-IBSc", _LIST, str(package), module)
    loaded = [Path(line) for line in listed.splitlines()]
    files = {str(path): path.read_bytes() for path in _libraries([python, *loaded])}
    files[str(python)] = python.read_bytes()
    with tempfile.TemporaryDirectory() as scratch:
        for path in loaded:
            place = str(path).replace(str(package), _PROGRAM, 1)
            if path.suffix == ".py":
                files[f"{place}c"] = _compiled(path, place, Path(scratch) / "module.pyc")
            else:
                files[place] = path.read_bytes()
    return files | _NAMES


def launcher(module: str, part: str) -> bytes:
    """The program that calls `main(part, arguments, environment)` of *module*."""
    script = _LAUNCHER.format(python=interpreter(), program=_PROGRAM, module=module, part=part)
    return script.encode()


def interpreter() -> Path:
    """The Python that runs this, not an environment's link to it."""
    return Path(sys.executable).resolve()


def _libraries(binaries: Iterable[Path]) -> Iterator[Path]:
    found: set[Path] = set()
    for binary in binaries:
        if binary.suffix not in (".py", ".pyc"):
            found.update(map(Path, _LIBRARY.findall(_run("ldd", str(binary)))))
    yield from found
    for folder in {path.parent for path in found}:
        yield from filter(Path.is_file, (folder / name for name in _LOOK_UP))


def _compiled(path: Path, place: str, scratch: Path) -> bytes:
    """The code of *path*, which is believed wherever and whenever it is loaded."""
    py_compile.compile(
        str(path),
        str(scratch),
        dfile=place,
        doraise=True,
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
    return scratch.read_bytes()


def _run(*command: str) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, env={"PATH": "/usr/bin:/bin"}
        )
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", "") or error
        raise Fatal(f"images cannot be made of this Python: {command[0]}: {said}") from error
    return done.stdout
