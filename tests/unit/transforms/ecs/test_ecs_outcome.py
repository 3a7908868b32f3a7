from __future__ import annotations

from typing import Any

import pytest

from ualpipe.schemas import read_yaml
from ualpipe.transforms.ecs.conversions.outcome import make_outcome, make_status

WORDS = read_yaml("ecs/words.yaml")["outcomes"]
OUTCOME = make_outcome(WORDS)


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"ResultStatus": "Success"}, "success"),
        ({"ResultStatus": "Succeeded"}, "success"),
        ({"ResultStatus": "Successful"}, "success"),
        ({"ResultStatus": "True"}, "success"),
        ({"ResultStatus": "TRUE"}, "success"),
        ({"ResultStatus": "success "}, "success"),
        ({"ResultStatus": "PartiallySucceeded"}, "success"),
        ({"ResultStatus": True}, "success"),
        ({"IsSuccess": True}, "success"),
        ({"ResultStatus": "Failed"}, "failure"),
        ({"ResultStatus": "failed"}, "failure"),
        ({"ResultStatus": "Failure"}, "failure"),
        ({"ResultStatus": "False"}, "failure"),
        ({"ResultStatus": "Error"}, "failure"),
        ({"ResultStatus": False}, "failure"),
        ({"IsSuccess": False}, "failure"),
        ({"Operation": "UserLoginFailed", "ResultStatus": "Success"}, "failure"),
        ({"Operation": "userloginfailed"}, "failure"),
        ({"Operation": "UserLoggedIn", "ResultStatus": "Success", "LogonError": "FlowTokenExpired"}, "success"),
        *(
            ({"ResultStatus": word}, "failure")
            for word in ("AccessDenied", "Unauthorized", "forbidden", "Failed: 0x80", "Failure.")
        ),
        *(
            ({"Workload": workload, "Operation": operation}, "success")
            for workload, operation in [
                ("SharePoint", "FileDownloaded"),
                ("onedrive", "FileSyncDownloadedFull"),
                ("SharePoint", "SharingSet"),
                ("SharePoint", "SharingInheritanceBroken"),
                ("OneDrive", "AddedToSecureLink"),
                ("MicrosoftTeams", "ChatCreated"),
                ("MicrosoftTeams", "MessageSent"),
                ("MicrosoftTeams", "MessageRead"),
                ("MicrosoftTeams", "TeamsTenantSettingChanged"),
                ("Yammer", "MessageDeleted"),
                ("PowerBI", "UpdatedAdminFeatureSwitch"),
            ]
        ),
        *(
            ({"Workload": workload, "Operation": operation}, "unknown")
            for workload, operation in [
                ("Exchange", "FileDownloaded"),
                ("AzureActiveDirectory", "RoleAssigned"),
                ("SharePoint", "FileAccessDenied"),
                ("SharePoint", "UnmanagedSyncClientBlocked"),
                ("MicrosoftTeams", "FailedValidation"),
                ("MicrosoftTeams", "MeetingParticipantDetail"),
                ("PowerBI", "ViewReport"),
                ("PowerBI", "SetLabel"),
                ("SharePoint", "SharedFeed"),
            ]
        ),
        ({"Workload": "SharePoint", "Operation": "FileDownloaded", "ErrorCode": "403"}, "unknown"),
        ({"Workload": "SharePoint", "Operation": "FileDownloaded", "ErrorNumber": "0", "LogonError": "None"}, "success"),
        ({"Workload": "SharePoint", "Operation": "FileDownloaded", "ResultStatus": "New"}, "unknown"),
        ({"Workload": "SharePoint", "Operation": "FileDownloaded", "ResultStatus": "Failed"}, "failure"),
        ({"Workload": "SharePoint", "Operation": "FileDownloaded", "IsSuccess": False}, "failure"),
        ({"Workload": ["SharePoint"], "Operation": "FileDownloaded"}, "unknown"),
        ({"ResultStatus": "InProgress"}, "unknown"),
        ({"ResultStatus": "New"}, "unknown"),
        ({"ResultStatus": 0}, "unknown"),
        ({"ResultStatus": ["Success"]}, "unknown"),
        ({"Operation": ["UserLoginFailed"]}, "unknown"),
        ({}, "unknown"),
    ],
)
def test_outcome_follows_operation_and_status(record: dict[str, Any], expected: str) -> None:
    assert OUTCOME(record) == expected


@pytest.mark.parametrize(
    ("status", "expected"), [("Success", "success"), (" failed ", "failure"), (False, "failure"), ("Running", None), (1, None)]
)
def test_status_of_a_workload_says_success_failure_or_nothing(status: Any, expected: str | None) -> None:
    assert make_status(WORDS)(status) == expected
