"""Whether the hot path runs compiled, and where its compiled modules are.

The modules of `MODULES` are plain Python. Where a C compiler was at hand, `python -m pipeline.dev.compiling` has made
extensions of the same sources, in a directory named after what they were made from: other sources find none, and run as
they are. JOURNEY_PURE=1 runs the sources in any case.
"""

import os
import sys
from collections.abc import Sequence
from hashlib import sha256
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType

PACKAGE = Path(__file__).parent
MODULES = (
    "pipeline.application.intake",
    "pipeline.application.records",
    "pipeline.application.stitch",
    "pipeline.domain.compile",
    "pipeline.domain.fold",
    "pipeline.domain.track",
    "pipeline.domain.encoding",
    "pipeline.domain.event",
    "pipeline.domain.identity",
    "pipeline.domain.moments",
    "pipeline.domain.packing",
    "pipeline.domain.touches",
    "pipeline.domain.profile",
    "pipeline.domain.remembered",
    "pipeline.domain.strands",
)
IN_C = ("pipeline.domain.bytewise", "pipeline.domain.extremes")
"""What compiled modules take from the .pxd file alone, where it stands in C; the .py file says the same in Python."""

PURE = "JOURNEY_PURE"
SUFFIX = EXTENSION_SUFFIXES[0]


def source(module: str) -> Path:
    """The file that the module is written in; its C types stand beside it, in a file that ends in `.pxd`."""
    return PACKAGE.parent.joinpath(*module.split(".")).with_suffix(".py")


def directory() -> Path:
    """Where the extensions of these very sources are, or will be."""
    digest = sha256(SUFFIX.encode())
    for module in (*MODULES, *IN_C):
        path = source(module)
        digest.update(path.read_bytes())
        digest.update(path.with_suffix(".pxd").read_bytes())
    return PACKAGE / "_native" / digest.hexdigest()[:16]


def compiled() -> bool:
    """Whether this process runs the extensions."""
    return any(isinstance(finder, _Finder) for finder in sys.meta_path)


def use() -> None:
    """Has the modules imported from their extensions from now on, if there are any."""
    if os.environ.get(PURE, "") not in {"", "0"} or compiled():
        return
    found = directory()
    if found.is_dir():
        sys.meta_path.insert(0, _Finder(found))


class _Finder:
    def __init__(self, found: Path) -> None:
        self._directory = found

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in MODULES:
            return None
        file = str(self._directory / f"{fullname}{SUFFIX}")
        return spec_from_file_location(fullname, file, loader=ExtensionFileLoader(fullname, file))
