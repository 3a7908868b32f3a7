"""A report as text for programs, spreadsheets and browsers; tables for terminals are the command's."""

from ualpipe.pipeline.mailbox_audit.output.csv_text import csv_text
from ualpipe.pipeline.mailbox_audit.output.json_text import json_text
from ualpipe.pipeline.mailbox_audit.output.page import page

__all__ = ["csv_text", "json_text", "page"]
