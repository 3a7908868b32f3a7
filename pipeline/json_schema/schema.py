"""A JSON Schema and the two libraries that read it: jsonschema-rs says fast whether a value fits, jsonschema where it does not.

jsonschema takes longer to import than ``ualpipe check`` may take for its own work, so it is imported at the first value that
does not fit, or where jsonschema-rs can't be imported: then it does both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ualpipe.pipeline.json_schema import accelerator
from ualpipe.pipeline.json_schema.failure import Failure


class Schema:
    """One schema, compiled.

    Args:
        document: JSON Schema 2020-12. References to other documents have to be resolved.
    """

    __slots__ = ("_accelerated", "_document")

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._accelerated = accelerator.compiled(document)

    def accepts(self, value: Any) -> bool:
        """Returns whether a value fits."""
        if self._accelerated is None:
            return next(self.failures(value), None) is None
        try:
            return self._accelerated.is_valid(value)  # type: ignore[no-any-return]
        except (TypeError, ValueError):  # text that is not Unicode, which jsonschema-rs can't read
            return next(self.failures(value), None) is None

    def failures(self, value: Any) -> Iterator[Failure]:
        """Yields each way in which a value does not fit, in the order of the schema's keywords and properties."""
        from ualpipe.pipeline.json_schema.dialect import failures  # noqa: PLC0415 - loads jsonschema

        return failures(self._document, value)
