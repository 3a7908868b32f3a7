"""Reads audit records out of whatever holds them: told by content, unpacked, in UTF-8, out of their envelopes."""

from ualpipe.pipeline.reading.envelopes import Envelopes, known_envelopes
from ualpipe.pipeline.reading.reader import chunks_of, first_defect, pieces_of

__all__ = ["Envelopes", "chunks_of", "first_defect", "known_envelopes", "pieces_of"]
