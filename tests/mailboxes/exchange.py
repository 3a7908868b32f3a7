"""A model of the cmdlets that our scripts call: settings of mailboxes, and the errors that Exchange Online is known to answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mailboxes.powershell import Interpreter, PowerShellError

_EVERYBODY = (
    "ApplyRecord Create HardDelete MailItemsAccessed Move MoveToDeletedItems RecordDelete SoftDelete Update UpdateComplianceTag "
    "UpdateFolderPermissions UpdateInboxRules"
)
SETTABLE = {
    "auditadmin": f"{_EVERYBODY} Copy FolderBind Send SendAs SendOnBehalf UpdateCalendarDelegation",
    "auditdelegate": f"{_EVERYBODY} FolderBind SendAs SendOnBehalf",
    "auditowner": f"{_EVERYBODY} MailboxLogin SearchQueryInitiated Send UpdateCalendarDelegation",
}
LISTS = {"auditadmin": "Admin", "auditdelegate": "Delegate", "auditowner": "Owner"}


@dataclass
class ModelMailbox:
    """A mailbox of the model; members in lower case, as the interpreter looks them up."""

    members: dict[str, Any]
    is_licensed: bool = True


@dataclass
class ExchangeModel:
    """What the cmdlets read and change, and what they were asked to.

    Attributes:
        changes: Each change that was made, as cmdlet and parameters.
        has_replaced: Whether a list was set in place of being added to.
        confirms: What ``ShouldProcess`` answers: False is a run with -WhatIf.
    """

    mailboxes: dict[str, ModelMailbox]
    passed_over: dict[str, bool] = field(default_factory=dict)
    is_audit_disabled: bool = False
    is_unified_log_on: bool = True
    changes: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    files: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    has_replaced: bool = False
    confirms: bool = True

    def run(self, script: str) -> int:
        """Runs a script; returns its exit code."""
        cmdlets = {
            "Get-Mailbox": self._get_mailbox,
            "Set-Mailbox": self._set_mailbox,
            "Get-MailboxAuditBypassAssociation": self._get_bypass,
            "Set-MailboxAuditBypassAssociation": self._set_bypass,
            "Get-OrganizationConfig": lambda *_: [{"auditdisabled": self.is_audit_disabled}],
            "Set-OrganizationConfig": self._set_organisation,
            "Get-AdminAuditLogConfig": lambda *_: [{"unifiedauditlogingestionenabled": self.is_unified_log_on}],
            "Set-AdminAuditLogConfig": self._set_unified_log,
            "Set-StrictMode": lambda *_: [],
            "Join-Path": lambda named, _: ["/".join(named[""])],
            "Export-Csv": self._export,
            "Write-Warning": lambda *_: [],
            "Write-Output": lambda named, _: named[""],
        }
        interpreter = Interpreter(cmdlets, PSCmdlet={"shouldprocess": self._should_process})
        interpreter.run(script)
        return interpreter.exit_code

    def _should_process(self, target: str, action: str) -> bool:
        self.asked.append((target, action))
        return self.confirms

    def _mailbox(self, named: Mapping[str, Any]) -> ModelMailbox:
        if named["identity"] not in self.mailboxes:
            raise PowerShellError(f"The operation couldn't be performed because object '{named['identity']}' couldn't be found.")
        return self.mailboxes[named["identity"]]

    def _get_mailbox(self, named: dict[str, Any], _given: Sequence[Any]) -> list[Any]:
        return [dict(self._mailbox(named).members)]

    def _set_mailbox(self, named: dict[str, Any], _given: Sequence[Any]) -> list[Any]:
        mailbox = self._mailbox(named)
        for name, value in named.items():
            if name in LISTS:
                self._add(mailbox, name, value)
            elif name in ("auditenabled", "auditlogagelimit"):
                mailbox.members[name] = value
        self.changes.append(("Set-Mailbox", named))
        return []

    def _add(self, mailbox: ModelMailbox, name: str, value: Any) -> None:
        if not isinstance(value, dict) or set(value) != {"add"}:
            self.has_replaced = True
            return
        for action in value["add"]:
            if action == "MessageBind":
                raise PowerShellError(
                    "MessageBind audit operation type is deprecated. Use MailItemsAccessed audit operation type instead."
                )
            if action not in SETTABLE[name].split():
                can = ", ".join(SETTABLE[name].split())
                raise PowerShellError(
                    f"Invalid audit operation specified. Supported audit operations for {LISTS[name]} are None, {can}"
                )
            if action == "MailItemsAccessed" and not mailbox.is_licensed:
                raise PowerShellError(
                    f"Auditing of {action} event is only available for users with appropriate license. Contact your"
                )
            if action in mailbox.members[name]:
                raise PowerShellError("The input audit operation(s) is/are already being audited")
        mailbox.members[name] = [*mailbox.members[name], *value["add"]]
        mailbox.members["defaultauditset"] = [one for one in mailbox.members["defaultauditset"] if one != LISTS[name]]

    def _get_bypass(self, named: dict[str, Any], _given: Sequence[Any]) -> list[Any]:
        if named["identity"] not in self.passed_over:
            raise PowerShellError(f"The operation couldn't be performed because object '{named['identity']}' couldn't be found.")
        return [{"auditbypassenabled": self.passed_over[named["identity"]]}]

    def _set_bypass(self, named: dict[str, Any], _given: Sequence[Any]) -> list[Any]:
        self.passed_over[named["identity"]] = named["auditbypassenabled"]
        self.changes.append(("Set-MailboxAuditBypassAssociation", named))
        return []

    def _set_organisation(self, named: dict[str, Any], _given: Sequence[Any]) -> list[Any]:
        self.is_audit_disabled = named["auditdisabled"]
        self.changes.append(("Set-OrganizationConfig", named))
        return []

    def _set_unified_log(self, named: dict[str, Any], _given: Sequence[Any]) -> list[Any]:
        self.is_unified_log_on = named["unifiedauditlogingestionenabled"]
        self.changes.append(("Set-AdminAuditLogConfig", named))
        return []

    def _export(self, named: dict[str, Any], given: Sequence[Any]) -> list[Any]:
        self.files[named["path"]] = list(given)
        return []
