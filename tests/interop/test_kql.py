"""The functions that are printed for queries, and content that uses them, before Microsoft's own parser of KQL."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from office_activity import OFFICE_ACTIVITY
from servers.missing import missing
from ualpipe.sinks.sentinel.tables import PROFILES, ProfileName, tables_of
from ualpipe.sinks.sentinel.template.kql import functions_of

PACKAGE = "@kusto/language-service-next@12.4.1"
CHECK = Path(__file__).with_name("kql_check.js")
_TYPES = {"boolean": "bool"}

# Written here, in the manner of rules and hunting queries: each function of the language that such content lives on.
CONTENT = {
    "forwarding rules": """
let starttime = 14d;
OfficeActivity
| where TimeGenerated >= ago(starttime) and OfficeWorkload =~ "Exchange"
| where Operation in~ ("New-InboxRule", "Set-InboxRule", "Set-Mailbox")
| mv-expand Parameter = parse_json(Parameters)
| where tostring(Parameter.Name) in~ ("ForwardTo", "RedirectTo", "ForwardingSmtpAddress")
| extend Target = tostring(Parameter.Value), IP = tostring(split(ClientIP, ":")[0])
| summarize First = min(TimeGenerated), Count = count(), Users = make_set(UserId, 100) by Target, IP, ResultStatus
| where Count > 3
""",
    "rare agents": """
let known = OfficeActivity | where TimeGenerated between (ago(14d) .. ago(1d)) | summarize by UserAgent;
OfficeActivity
| where TimeGenerated > ago(1d) and RecordType == "SharePointFileOperation" and Operation has_any ("Downloaded", "Uploaded")
| join kind=leftanti known on UserAgent
| extend Site = iff(Site_Url startswith "https", parse_url(Site_Url).Host, "")
| project TimeGenerated, UserId, UserType, ClientIP, Site, SourceFileName, OfficeObjectId, Type, SourceSystem
""",
    "mailbox access": """
OfficeActivity
| where Operation == "MailItemsAccessed" and Logon_Type != "Owner" and InternalLogonType == 0
| extend Folder = parse_json(Folders)[0].Path, Address = iif(isempty(Client_IPAddress), ClientIP, Client_IPAddress)
| summarize dcount(MailboxOwnerUPN) by bin(TimeGenerated, 1h), Address, ClientInfoString
""",
    "teams": """
OfficeActivity
| where OfficeWorkload =~ "MicrosoftTeams" and Operation =~ "MemberAdded"
| mv-expand Members
| extend Added = tostring(Members.UPN)
| where Added has "#EXT#"
| project TimeGenerated, TeamName, TeamGuid, CommunicationType, AddonName, Added, ChannelName
""",
}


@pytest.fixture(scope="module")
def parse(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Any], Mapping[str, list[str]]]:
    """Parses functions and queries with Microsoft's parser, which npm installs."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        missing("there is no npm: install Node.js")
    folder = tmp_path_factory.mktemp("kusto")
    install = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), PACKAGE]
    done = subprocess.run(install, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        missing(f"{PACKAGE} can't be installed: {done.stderr[-300:]}")

    def run(given: Any) -> Mapping[str, list[str]]:
        command = ["node", str(CHECK), str(folder)]
        found = subprocess.run(command, input=json.dumps(given), capture_output=True, text=True, check=True, timeout=120)
        answer: Mapping[str, list[str]] = json.loads(found.stdout)
        return answer

    return run


def columns(types: Mapping[str, str]) -> str:
    return "(" + ", ".join(f"{name}:{_TYPES.get(kind, kind)}" for name, kind in types.items()) + ")"


def tables(profile: ProfileName) -> dict[str, str]:
    standard = {"TenantId": "string", "Type": "string", "_ResourceId": "string", "_SubscriptionId": "string"}
    made = {
        table.name: {column.name: column.type for column in table.columns} | standard for table in tables_of(profile).values()
    }
    return {name: columns(types) for name, types in {"OfficeActivity": OFFICE_ACTIVITY, **made}.items()}


def asked(profile: ProfileName, queries: Mapping[str, str]) -> dict[str, Any]:
    functions = [{"name": function.name, "body": function.body} for function in functions_of(profile)]
    return {"tables": tables(profile), "functions": functions, "queries": queries}


@pytest.mark.parametrize("profile", PROFILES)
def test_functions_have_no_fault(profile: ProfileName, parse: Callable[[Any], Mapping[str, list[str]]]) -> None:
    answer = parse(asked(profile, {}))
    assert {name: answer[name] for name in (function.name for function in functions_of(profile))} == {
        function.name: [] for function in functions_of(profile)
    }


@pytest.mark.parametrize("profile", ["office_activity", "raw"])
def test_content_for_office_activity_runs_on_our_table(
    profile: ProfileName, parse: Callable[[Any], Mapping[str, list[str]]]
) -> None:
    compared = {"datetime": "> ago(1d)", "int": "> 1", "bool": "== true", "dynamic": "has 'x'", "string": "has 'x'"}
    each = {
        f"column {name}": f"OfficeActivity | where {name} {compared[kind]} | project {name}"
        for name, kind in OFFICE_ACTIVITY.items()
    }
    queries = {name: f"let OfficeActivity = O365Activity();\n{text}" for name, text in {**CONTENT, **each}.items()}
    answer = parse(asked(profile, queries))
    assert {name: answer[name] for name in queries if answer[name]} == {}
    assert set(OFFICE_ACTIVITY) <= set(answer["columns of O365Activity"])


def test_a_column_that_is_not_there_is_found(parse: Callable[[Any], Mapping[str, list[str]]]) -> None:
    queries = {
        "unknown": "let OfficeActivity = O365Activity();\nOfficeActivity | where NoSuchColumn == 'x'",
        "faulty": "OfficeActivity | where (Operation == 'x'",
    }
    answer = parse(asked("office_activity", queries))
    assert "NoSuchColumn" in answer["unknown"][0]
    assert answer["faulty"]
