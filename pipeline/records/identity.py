"""The identity of a record, by which duplicates are found: its ``Id`` within its tenant, and beside it a digest of its content.

Two records with the same Id and the same content are one. Other content under a known Id is another record: a conflict. The
digest of the content is the same however JSON spells the content: in any order of keys, with any blanks and escapes.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import orjson

OnConflict = Literal["keep", "dead_letter"]
"""What becomes of a record with other content than the first that came under its Id."""

DIGEST_BYTES = 16
"""What stands for an Id within its tenant."""
CONTENT_BYTES = 16
"""What stands for the content: 15 bytes of SHA-256, and one that says whether the record came from a feed or from elsewhere."""
IDENTITY_BYTES = DIGEST_BYTES + CONTENT_BYTES
UNKNOWN = bytes(CONTENT_BYTES)
"""Stands where nobody knows the content: Ids that earlier releases remembered."""
LONGEST_ID = 400  # characters; what is longer is no name that anybody gave

_HASH_BYTES = CONTENT_BYTES - 1
_FROM_FEED, _FROM_ELSEWHERE = b"\x01", b"\x02"
_SCOPE_LIMIT = 1000  # tenants: foreign text must not fill the memory
_GUID_LENGTH = 36
_ANNOTATION = "@odata."  # what Graph writes beside the fields of a record; no part of it
# What the spelling of a number or an annotation of Graph leaves in the text; most records hold none of it.
_SPELLINGS = [re.compile(mark).search for mark in (rb"@odata\.", rb"\.0[,}\]]", rb"e\+1")]
_NO_NAMES = frozenset(
    (
        *(
            "na",
            "nan",
            "nil",
            "none",
            "null",
            "void",
            "empty",
            "blank",
            "missing",
            "undefined",
            "undef",
            "unknown",
            "unspecified",
        ),
        *("unset", "notset", "notavailable", "notapplicable", "nodata", "novalue", "default", "placeholder", "tbd", "todo"),
        *("id", "guid", "uuid", "guidempty", "emptyguid"),
    )
)

_scopes: dict[str, Callable[[], Any]] = {}
"""For each tenant, as records write it: returns a new hash that has taken in the tenant already."""


def identity_of(record: Mapping[str, Any], tenant: str) -> bytes:
    """Returns the identity of a record: what stands for its Id within its tenant, and for its content.

    A record without a usable Id is known by its content alone.

    Args:
        record: The record as decoded.
        tenant: Tenant of the source; empty where only the records tell, so that nobody vouches for them.

    Returns:
        ``IDENTITY_BYTES`` bytes.
    """
    content = _content_of(record, tenant)
    return (digest_of(record, tenant) or _digest_of_content(record, tenant, content)) + content


def digest_of(record: Mapping[str, Any], tenant: str) -> bytes | None:
    """Returns what stands for the ``Id`` of a record within its tenant (``OrganizationId``, else the source's).

    Returns:
        16 bytes; None for a record without a usable Id.
    """
    own: Any = record.get("Id")
    if not is_usable(own):
        return None
    digest = _scope_of(record, tenant)
    digest.update(own.lower().encode("utf-8", "replace"))
    return digest.digest()  # type: ignore[no-any-return]


def is_usable(own: Any) -> bool:
    """Tells whether an Id names one record: text of some length that is no placeholder ("N/A", "-", blanks, the nil GUID)."""
    if type(own) is not str or not own:
        return False
    if len(own) == _GUID_LENGTH and own[:4] != own[4:8]:  # as nearly all are
        return True
    return len(own) <= LONGEST_ID and not _is_placeholder(own)


def _is_placeholder(own: str) -> bool:
    """Tells whether an Id is what people and programs write where there is none, whatever stands around it."""
    bare = "".join(filter(str.isalnum, unicodedata.normalize("NFKC", own))).casefold()
    if not bare.strip("0") or bare in _NO_NAMES:
        return True
    return len(bare) >= _GUID_LENGTH - 4 and len(set(bare)) == 1  # ffffffff-ffff-… and the like


def is_same(known: bytes, content: bytes) -> bool:
    """Tells whether two contents are the same, as far as anybody can know."""
    return known[:_HASH_BYTES] == content[:_HASH_BYTES] or UNKNOWN in (known, content)


def is_from_feed(content: bytes) -> bool:
    """Tells whether a content came from the feed of a tenant, as far as anybody can know."""
    return content[_HASH_BYTES:] != _FROM_ELSEWHERE


def suffix_of(content: bytes) -> str:
    """Returns what tells a content from others under the same Id: 30 hexadecimal digits."""
    return content[:_HASH_BYTES].hex()


def digest_of_other(identity: bytes) -> bytes:
    """Returns under what another content than the first of an Id is remembered: 16 bytes."""
    told = identity[: DIGEST_BYTES + _HASH_BYTES]
    return hashlib.blake2b(told, digest_size=DIGEST_BYTES, person=b"other content").digest()


def canonical(record: Mapping[str, Any]) -> bytes:
    """Returns a record as JSON that does not depend on how it was spelled.

    Keys are sorted, integers have no fraction or exponent, annotations of Graph (``@odata.…``) are left out.
    """
    try:
        text = orjson.dumps(record, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # nested deeper than orjson writes
        return b"".join(_parts(record))
    return b"".join(_parts(record)) if any(search(text) for search in _SPELLINGS) else text


def _content_of(record: Mapping[str, Any], tenant: str) -> bytes:
    if not tenant:
        return hashlib.sha256(canonical(record)).digest()[:_HASH_BYTES] + _FROM_ELSEWHERE
    try:
        # A feed has no annotations and spells a number in one way: to look for them would cost more than all the rest.
        text = orjson.dumps(record, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        text = canonical(record)
    return hashlib.sha256(text).digest()[:_HASH_BYTES] + _FROM_FEED


def _digest_of_content(record: Mapping[str, Any], tenant: str, content: bytes) -> bytes:
    digest = hashlib.blake2b(content[:_HASH_BYTES], digest_size=DIGEST_BYTES, person=b"content")
    digest.update(_scope_of(record, tenant).digest())
    return digest.digest()


def _parts(record: Mapping[str, Any]) -> Iterator[bytes]:
    """Yields the canonical text of a record part by part, however deep it is nested."""
    waiting: list[Any] = [record]
    while waiting:
        value = waiting.pop()
        if type(value) is bytes:
            yield value
        elif isinstance(value, Mapping):
            members = [[_scalar(key) + b":", value[key]] for key in sorted(value) if not key.startswith(_ANNOTATION)]
            waiting += _reversed(b"{", members, b"}")
        elif isinstance(value, list):
            waiting += _reversed(b"[", [[one] for one in value], b"]")
        else:
            yield _scalar(value)


def _reversed(begin: bytes, members: list[list[Any]], end: bytes) -> Iterator[Any]:
    """Yields the parts of an object or array with commas between them, the last first."""
    yield end
    for at in range(len(members) - 1, -1, -1):
        yield from reversed(members[at])
        if at:
            yield b","
    yield begin


def _scalar(value: Any) -> bytes:
    if type(value) is float and value.is_integer() and abs(value) < 2**64:
        value = int(value)
    try:
        return orjson.dumps(value)
    except TypeError:  # text that is no Unicode, numbers of more than 64 bits
        return repr(value).encode("utf-8", "backslashreplace")


def _scope_of(record: Mapping[str, Any], tenant: str) -> Any:
    """Returns a new hash that has taken in the tenant of a record."""
    organization = record.get("OrganizationId")
    if type(organization) is not str or not organization:
        return _begin(tenant)()
    return (_scopes.get(organization) or _scope(organization))()


def _scope(organization: str) -> Callable[[], Any]:
    if len(_scopes) >= _SCOPE_LIMIT:
        _scopes.clear()
    _scopes[organization] = begun = _begin(organization.lower())
    return begun


def _begin(scope: str) -> Callable[[], Any]:
    return hashlib.blake2b(f"{scope}\0".encode("utf-8", "replace"), digest_size=DIGEST_BYTES).copy
