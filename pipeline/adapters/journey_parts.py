"""A journey without the parts of it that cannot be read, so that all else that is wrong is found in the same run."""

from collections.abc import Iterable, Mapping
from typing import Final

from pipeline.adapters.yaml_documents import Document, Loc, Node

_LABELS: Final = ("en", "tr", "pl", "fa")
_PLACEHOLDERS: Final[Mapping[str, str | int]] = {"journey": "journey", "version": 1}


def without(document: Document, mistakes: Iterable[Loc]) -> Document | None:
    """The document with the smallest parts cut out that the mistakes are in; a label, name or version is made up.

    None if that leaves nothing to judge by: a stage has no id, or the stages or touches cannot be read.
    """
    cut, made_up = set[Loc](), dict[Loc, set[str]]()
    for loc in mistakes:
        match loc:
            case ("journey" | "version",) | ("stages", int(), "labels", *_):
                *above, missing = loc[:3]
                made_up.setdefault(tuple(above), set()).add(str(missing))
            case ("stages", int(), "enter", int(), *_):
                cut.add(loc[:4])
            case ("stages", int(), str() as key, *_) if key != "id":
                cut.add(loc[:3])
            case ("signals", str(), *_):
                cut.add(loc[:2])
            case (str() as key,) if key != "stages":
                cut.add(loc)
            case _:
                return None
    return Document(_rebuilt(document.root, (), cut, made_up))


def _rebuilt(node: Node, at: Loc, cut: set[Loc], made_up: Mapping[Loc, set[str]]) -> Node:
    if isinstance(node.content, tuple):
        items = tuple(
            _rebuilt(item, (*at, place), cut, made_up)
            for place, item in enumerate(node.content)
            if (*at, place) not in cut
        )
        return Node(node.mark, items)
    if not isinstance(node.content, Mapping):
        return node
    entries = {
        key: (mark, _rebuilt(value, (*at, key), cut, made_up))
        for key, (mark, value) in node.content.items()
        # A lone value is the first of its list.
        if not cut & {(*at, key), (*at, key, 0) if not isinstance(value.content, tuple) else (*at, key)}
    }
    for key in made_up.get(at, ()):
        entries[key] = (node.mark, _placeholder(node, key))
    return Node(node.mark, entries)


def _placeholder(beside: Node, key: str) -> Node:
    if key == "labels":
        return Node(beside.mark, {name: (beside.mark, Node(beside.mark, name)) for name in _LABELS})
    return Node(beside.mark, _PLACEHOLDERS[key])
