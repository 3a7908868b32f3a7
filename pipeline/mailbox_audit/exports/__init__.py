"""Reads what Exchange Online's cmdlets export: CSV, JSON, CLIXML, text of Format-List; told by content and columns."""

from ualpipe.pipeline.mailbox_audit.exports.model import Notes
from ualpipe.pipeline.mailbox_audit.exports.reader import Exports, read_exports

__all__ = ["Exports", "Notes", "read_exports"]
