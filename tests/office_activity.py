"""The columns of Microsoft's table OfficeActivity, from the reference of Azure Monitor tables (generated 2024-02 to 2026-01)."""

from __future__ import annotations

_NAMES = {
    "datetime": """
        ElevationApprovedTime ElevationTime Start_Time TimeGenerated
    """,
    "int": """
        DataCenterSecurityEventType ElevationDuration InternalLogonType LoginStatus
    """,
    "bool": """
        CrossMailboxOperations IsManagedDevice
    """,
    "dynamic": """
        ExtraProperties Members OperationProperties SRRuleMatchDetails
    """,
    "string": """
        AADGroupId AADTarget Activity Actor ActorContextId ActorIpAddress AddOnGuid AddonName AddOnType AffectedItems
        AppDistributionMode AppId Application ApplicationId AzureActiveDirectory_EventType AzureADAppId ChannelGuid
        ChannelName ChannelType ChatName ChatThreadId Client Client_IPAddress ClientAppId ClientInfoString ClientIP
        ClientMachineName ClientProcessName ClientVersion CommunicationType CustomEvent DestFolder
        DestinationFileExtension DestinationFileName DestinationRelativeUrl DestMailboxId
        DestMailboxOwnerMasterAccountSid DestMailboxOwnerSid DestMailboxOwnerUPN EffectiveOrganization
        ElevationApprover ElevationRequestId ElevationRole Event_Data EventSource ExtendedProperties ExternalAccess
        Folder Folders GenericInfo InterSystemsId IntraSystemId Item ItemName ItemType Logon_Type LogonUserDisplayName
        LogonUserSid MachineDomainInfo MachineId MailboxGuid MailboxOwnerMasterAccountSid MailboxOwnerSid
        MailboxOwnerUPN MessageId ModifiedObjectResolvedName ModifiedProperties Name NewValue OfficeId OfficeObjectId
        OfficeTenantId OfficeWorkload OldValue Operation OperationScope OrganizationId OrganizationName
        OriginatingServer Parameters RecordType ResultReasonType ResultStatus SendAsUserMailboxGuid SendAsUserSmtp
        SendonBehalfOfUserMailboxGuid SendOnBehalfOfUserSmtp SharingType Site_ Site_Url Source_Name
        SourceFileExtension SourceFileName SourceRecordId SourceRelativeUrl SourceSystem SRPolicyId SRPolicyName
        SupportTicketId TabType TargetContextId TargetUserId TargetUserOrGroupName TargetUserOrGroupType TeamGuid
        TeamName TenantId Type UserAgent UserDomain UserId UserKey UserSharedWith UserType
    """,
}
OFFICE_ACTIVITY = {name: kind for kind, names in _NAMES.items() for name in names.split()}
"""The type of each column."""
