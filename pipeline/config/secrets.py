"""Secrets that were damaged on their way into the config, or are none: said before a service refuses them. Pure.

No remark holds the secret, nor a part of it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

from ualpipe.pipeline.config.odd_texts import Remark, is_secret, leaves
from ualpipe.pipeline.marked_yaml import MarkedYaml, Pointer
from ualpipe.pipeline.wording import is_unseen, named

_QUOTES = "\"'`\u2018\u2019\u201c\u201d\u201e\u00ab\u00bb"
_GUID = re.compile(r"\{?[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\}?", re.IGNORECASE)
_PLACEHOLDER = re.compile(
    r"<.*>|\[.*\]|\{\{.*\}\}|\{.*\}|%\w+%|\$\w+|\$\(.*\)|\*+|\.{3,}|x{3,}|-+|_+"
    r"|(?:change|replace|fill|insert|enter|put|add|paste)[-_ ]?(?:me|it|this|in|here|your|the)?(?:[-_ ].*)?"
    r"|(?:your|my|the|a|some|client|app|api|example|sample|dummy|test|fake|real)?[-_ ]{0,3}(?:client|app|api)?[-_ ]{0,3}"
    r"(?:secret|password|passwd|passphrase|key|token|value|credential)s?(?:[-_ ]?(?:here|value|goes|text|id))*"
    r"|todo|tbd|fixme|none|null|undefined|n/?a|redacted|hidden|placeholder",
    re.IGNORECASE | re.DOTALL,
)
_IN_HEADERS = ("api_key", "bearer_token", "token")
_SCHEME = re.compile(r"(bearer|basic|apikey)\s+\S", re.IGNORECASE)
_WHERE = "Entra admin center > App registrations > the app > Certificates & secrets"


def secret_remarks(
    schema: Mapping[str, Any], value: Any, pointer: Pointer, source: MarkedYaml
) -> Iterator[tuple[Pointer, Remark]]:
    """Yields remarks on the secrets of a section that fits its schema."""
    for place, text, inner in leaves(schema, value, pointer):
        if isinstance(text, str) and is_secret(inner) and place not in source.unresolved:
            yield from ((place, remark) for remark in remarks(text, str(place[-1])))
            if place in source.commented and place not in source.substituted:
                yield place, Remark("the secret ends before ' #', where a comment begins: put it in quotes if # belongs to it")


def remarks(text: str, option: str = "password") -> Iterator[Remark]:
    """Yields what is odd about a secret.

    Args:
        text: The secret, without line ends and byte order mark around it.
        option: The option that it stands in. A client secret of Entra ID has neither blanks nor quotation marks, and what
            goes into a header of HTTP is printable: there it is an error and not a warning.
    """
    is_client_secret = option == "client_secret"
    if remark := _unseen(text, is_wrong=option in _IN_HEADERS):
        yield remark
        return
    bare = text.strip()
    if bare != text:
        yield Remark("begins or ends with a blank, which is sent as a part of the secret: take it out", is_wrong=is_client_secret)
    if len(bare) > 1 and bare[0] in _QUOTES and bare[-1] in _QUOTES:
        yield Remark(
            "stands in quotation marks, which are sent as a part of it (env files of containers keep them): take them out",
            is_wrong=is_client_secret,
        )
    elif _PLACEHOLDER.fullmatch(bare):
        yield Remark("looks like a placeholder: put the real secret in its place")
    elif _SCHEME.match(bare) and option.lower() != "authorization":
        yield Remark("begins with the name of a log-in scheme, which is added by itself: leave the word out")
    elif is_client_secret and _GUID.fullmatch(bare):
        yield Remark(
            f"looks like the id of a secret, which is no secret: use its value, which {_WHERE} shows once, when it is made"
        )
    elif sign := next((sign for sign in text if not sign.isascii() and _is_typographic(sign)), ""):
        yield Remark(f"holds the character {named(sign)}, as word processors write it: copy the secret from where it was made")


def _unseen(text: str, *, is_wrong: bool) -> Remark | None:
    for at, sign in enumerate(text, 1):
        if sign in "\r\n":
            return Remark(f"holds the character {named(sign)} at position {at}: a secret is one line", is_wrong)
        if is_unseen(sign):
            return Remark(
                f"holds the character {named(sign)} at position {at}, which can't be seen or typed: take it out", is_wrong
            )
    return None


def _is_typographic(sign: str) -> bool:
    return unicodedata.category(sign) in ("Pd", "Pi", "Pf", "Ps")
