"""PowerShell: the script that mends what was found, and the one that makes the exports."""

from ualpipe.pipeline.mailbox_audit.scripts.fix import fix_script
from ualpipe.schemas import read_text

__all__ = ["collect_script", "fix_script"]


def collect_script() -> str:
    """Returns the script that makes the exports."""
    return read_text("mailbox_audit/collect.ps1")
