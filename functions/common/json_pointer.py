"""Converts JSON Pointers (RFC 6901) to member names, and member names to JSON Pointers."""

from collections.abc import Iterable
from urllib.parse import unquote


def path_of(pointer: str) -> tuple[str, ...]:
    """Return the member names in a JSON Pointer."""
    return tuple(map(unescaped, pointer.split("/")[1:]))


def unescaped(step: str) -> str:
    """Return the member's name that one step of a JSON Pointer stands for."""
    return step.replace("~1", "/").replace("~0", "~")


def escaped(name: str) -> str:
    """Return a member's name as it is written in a JSON Pointer."""
    return name.replace("~", "~0").replace("/", "~1")


def pointer_in(reference: str) -> str:
    """Return the JSON Pointer in a local `$ref`. As in any URI, some characters are escaped: `#/$defs/Map%3CId%3E`."""
    return unquote(reference.removeprefix("#"))


def pointer_of(path: Iterable[str]) -> str:
    """Return the JSON Pointer that consists of these member names."""
    return "".join(f"/{escaped(name)}" for name in path)
