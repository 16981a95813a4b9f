"""This installation: the program, its Python and libraries, the journeys it is to run, the port of its pages."""

import errno
import platform
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib import metadata
from ipaddress import ip_address
from typing import Final

import orjson
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from pipeline import __version__
from pipeline._compiled import compiled
from pipeline.adapters.doctor.finding import Finding
from pipeline.adapters.journey_files import load_models
from pipeline.config import Settings
from pipeline.errors import UserError

_PACKAGE: Final = "customer-journey"
_ANSWER_S: Final = 2.0


def look(settings: Settings) -> list[Finding]:
    """Everything that needs no Kafka and no Redis."""
    return [_journeys(settings), _program(), *_libraries(), *_port(settings)]


def _journeys(settings: Settings) -> Finding:
    try:
        _, journeys = load_models(settings)
    except UserError as error:
        return Finding("journeys", "error", error.message, "mend the file at the place named; `journey lint` says more")
    named = ", ".join(f"{journey.name} v{journey.version}" for journey in journeys)
    return Finding("journeys", "ok", named)


def _program() -> Finding:
    what = f"journey {__version__}, {'compiled' if compiled() else 'not compiled: it folds half as fast'}"
    if compiled():
        return Finding("program", "ok", what)
    return Finding("program", "note", what, "make setup, with a C compiler, or install a wheel that is built")


def _libraries() -> Iterator[Finding]:
    """What the package asks for, against what is installed."""
    python = platform.python_version()
    wanted = SpecifierSet(str(metadata.metadata(_PACKAGE)["Requires-Python"] or ""))
    yield (
        Finding("python", "ok", f"Python {python}")
        if wanted.contains(python, prereleases=True)
        else Finding("python", "error", f"Python {python}; wanted: {wanted}", "take a newer Python")
    )
    wrong = []
    requirements = [Requirement(text) for text in metadata.requires(_PACKAGE) or ()]
    plain = [each for each in requirements if each.marker is None or each.marker.evaluate({"extra": ""})]
    for each in plain:
        try:
            found = metadata.version(each.name)
        except metadata.PackageNotFoundError:
            found = None
        if found is None or not each.specifier.contains(found, prereleases=True):
            wrong.append(f"{each.name} is {found or 'missing'}; wanted: {each.specifier}")
    if wrong:
        yield Finding("libraries", "error", "; ".join(wrong), f"pip install --upgrade {_PACKAGE}")
    else:
        yield Finding("libraries", "ok", f"{len(plain)} libraries, all as new as needed")


def _port(settings: Settings) -> Iterator[Finding]:
    """Whether a worker here can serve its pages, or does already."""
    host, port = settings.http_host, settings.http_port
    if not port:
        yield Finding("port", "note", "http_port is 0: workers serve no health and no metrics", "set http_port")
        return
    place = f"{host}:{port}"
    busy = _busy(host, port)
    if busy is None:
        yield Finding("port", "ok", f"{place} is free for a worker's pages")
    elif busy == errno.EADDRINUSE and _is_worker(host, port):
        yield Finding("port", "ok", f"a worker serves its pages on {place}")
    elif busy == errno.EADDRINUSE:
        yield Finding(
            "port", "error", f"{place} is taken by something that is no worker", "choose another http_port, or end that"
        )
    else:
        yield Finding(
            "port",
            "error",
            f"a worker could not listen on {place} ({errno.errorcode.get(busy, busy)})",
            "mend http_host",
        )
    if not _is_loopback(host):
        yield Finding(
            "port",
            "warning",
            f"pages on {place} are open to the network, without a login",
            "set http_host to 127.0.0.1, unless only those who may see it reach this network",
        )


def _busy(host: str, port: int) -> int | None:
    """Why nobody could listen there, as an errno; None: somebody could."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return error.errno or errno.EADDRNOTAVAIL
    return None


def _is_worker(host: str, port: int) -> bool:
    shown = f"[{host}]" if ":" in host else host
    try:
        with urllib.request.urlopen(f"http://{shown}:{port}/status", timeout=_ANSWER_S) as answer:
            return "lanes" in orjson.loads(answer.read())
    except (OSError, ValueError, TypeError):
        return False


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
