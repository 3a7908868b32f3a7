"""Exports of Exchange Online that a command line names."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from ualpipe.pipeline.errors import ConfigError
from ualpipe.pipeline.mailbox_audit.exports.reader import read_exports
from ualpipe.pipeline.mailbox_audit.mailboxes import Tenant, tenant_of
from ualpipe.pipeline.redaction import blanked
from ualpipe.pipeline.report.contract import ExportedMailbox
from ualpipe.pipeline.wording import visible


def exported_tenant(paths: Sequence[Path]) -> Tenant:
    """Returns what exports, or folders of such, tell of a tenant.

    Raises:
        ConfigError: A path does not exist, or an export can't be read at all.
    """
    return tenant_of(read_exports(list(_files(paths))))


def exported_mailboxes(paths: Sequence[Path]) -> list[ExportedMailbox]:
    """Returns the mailboxes of exports as reports read them; says on stderr what could not be read.

    Raises:
        ConfigError: As above, or there is no mailbox in them.
    """
    if not paths:
        return []
    tenant = exported_tenant(paths)
    for note in tenant.notes:
        print(visible(blanked(str(note))), file=sys.stderr)
    if not tenant.mailboxes:
        raise ConfigError("--mailboxes: no mailbox could be read: export them as `ualpipe mailbox-audit --collect` prints it")
    is_off = bool(tenant.is_audit_disabled)
    return [
        ExportedMailbox(
            one.name,
            sorted(
                {spelling.lower() for spelling in (one.name, one.guid, one.exchange_guid, *one.ids, *one.addresses) if spelling}
            ),
            one.kind,
            False if is_off else one.is_enabled,
            one.is_passed_over,
        )
        for one in tenant.mailboxes
    ]


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    """Yields files, and those that stand directly in folders, in order.

    Raises:
        ConfigError: There is none at a path.
    """
    for path in paths:
        if path.is_dir():
            found = [file for file in sorted(path.iterdir()) if file.is_file() and not file.name.startswith(".")]
            if not found:
                raise ConfigError(f"{path}: the folder holds no files")
            yield from found
        elif path.exists():
            yield path
        else:
            raise ConfigError(f"{path}: there is no such file")
