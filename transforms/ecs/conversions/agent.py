"""Takes user agents apart by the rules of uap-core, the ones that Elasticsearch's own processor uses."""

from __future__ import annotations

from typing import Any

Parts = dict[str, str]

# The library is imported when the first agent comes: it reads a thousand expressions, which takes a tenth of a second.


def agent(text: str) -> Parts | None:
    """Returns ``name`` and ``version`` of the program that a user agent names; None where none is known."""
    import ua_parser  # noqa: PLC0415 - see above

    found = ua_parser.parse_user_agent(text)
    return _parts(found.family, found.major, found.minor, found.patch, found.patch_minor) if found else None


def system(text: str) -> Parts | None:
    """Returns ``name``, ``version`` and ``full`` of the operating system in a user agent; None where none is known."""
    import ua_parser  # noqa: PLC0415 - see above

    found = ua_parser.parse_os(text)
    if not found:
        return None
    parts = _parts(found.family, found.major, found.minor, found.patch, found.patch_minor)
    return {**parts, "full": f"{parts['name']} {parts['version']}"} if "version" in parts else parts


def device(text: str) -> Parts | None:
    """Returns the ``name`` of the device in a user agent; None where none is known."""
    import ua_parser  # noqa: PLC0415 - see above

    found = ua_parser.parse_device(text)
    return {"name": found.family} if found else None


def _parts(name: str, *numbers: Any) -> Parts:
    version = ".".join(number for number in numbers if number)
    return {"name": name, "version": version} if version else {"name": name}
