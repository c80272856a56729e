"""YAML from people: a safe and small subset (JSON's types), with the line of everything.

No tags that make objects, no aliases (a bomb needs them), no key twice, bounded size and depth; ``true`` and ``false``
are the only booleans, and what looks like a date or a time is text, as Kubernetes reads it.
"""

import re
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Any

import yaml

MAX_BYTES = 4_194_304
MAX_DEPTH = 40
_STEP = re.compile(r"([^.\[\]]+)|\[([0-9]+)\]")


class YamlError(ValueError):
    """A text that is not acceptable YAML.

    Attributes:
        line: where, counted from 1; 0 if it is about the whole text.
    """

    def __init__(self, line: int, message: str) -> None:
        self.line = line
        super().__init__(message)


@dataclass(frozen=True)
class Document:
    """One document: its value, and the node that knows where everything stands."""

    value: Any
    node: yaml.Node

    def line_of(self, path: str) -> int:
        """Line of ``spec.listeners[0].port``, or of the nearest thing above it that is there."""
        node = self.node
        for name, index in _STEP.findall(path):
            below = _below(node, name, int(index) if index else -1)
            if below is None:
                break
            node = below
        return int(node.start_mark.line) + 1


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader without aliases, depth, double keys and guessed types."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own class attribute
    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise YamlError(self._line(), "aliases (*name) are not accepted: write it out")
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise YamlError(self._line(), f"nested more than {MAX_DEPTH} deep")
        node: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def _line(self) -> int:
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        return int(mark.line) + 1

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
                raise YamlError(key.start_mark.line + 1, "keys must be texts: quote them")
            if key.value in seen:
                raise YamlError(key.start_mark.line + 1, "the key is there twice")
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


def _resolve(tag: str, pattern: str, first: str) -> None:
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(pattern), list(first))


_resolve("null", r"\A(?:~|null|Null|NULL|)\Z", "~nN")
_Loader.yaml_implicit_resolvers.setdefault("", []).append(("tag:yaml.org,2002:null", re.compile(r"\A\Z")))
_resolve("bool", r"\A(?:true|True|TRUE|false|False|FALSE)\Z", "tTfF")
_resolve("int", r"\A[-+]?(?:0|[1-9][0-9]{0,17})\Z", "-+0123456789")
_resolve("float", r"\A[-+]?[0-9]+(?:\.[0-9]+(?:[eE][-+]?[0-9]{1,3})?|[eE][-+]?[0-9]{1,3})\Z", "-+0123456789")


def read_documents(content: bytes) -> list[Document]:
    """Read all documents of a text; empty ones are passed over.

    Raises:
        YamlError: not acceptable; names the line.
    """
    if len(content) > MAX_BYTES:
        raise YamlError(0, f"more than {MAX_BYTES} bytes")
    try:
        return list(_documents(content.decode("utf-8-sig")))
    except UnicodeDecodeError:
        raise YamlError(0, "not UTF-8") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise YamlError(mark.line + 1 if mark else 0, error.problem or "not YAML") from None
    except yaml.YAMLError:
        raise YamlError(0, "not YAML") from None


def _documents(text: str) -> Iterator[Document]:
    loader = _Loader(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            value = None if node is None else _constructed(loader, node)
            if node is not None and value is not None:
                yield Document(value, node)
    finally:
        loader.dispose()


def _constructed(loader: _Loader, node: yaml.Node) -> Any:
    try:
        return loader.construct_document(node)
    except YamlError:
        raise
    except (ValueError, TypeError, OverflowError):
        raise YamlError(node.start_mark.line + 1, "a value can't be read") from None


def _below(node: yaml.Node, name: str, index: int) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode) and name:
        return next((value for key, value in node.value if key.value == name), None)
    if isinstance(node, yaml.SequenceNode) and 0 <= index < len(node.value):
        below: yaml.Node = node.value[index]
        return below
    return None
