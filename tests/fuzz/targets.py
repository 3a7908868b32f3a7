"""What reads bytes from outside, and the mark of the tests that fuzz it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

FEW = 5
"""Examples of each target in `make unit`; `make fuzz` tries as many as its profile says."""

READERS = (
    "ualpipe.clients.body:read_body",
    "ualpipe.clients.entra.login_errors:login_error",
    "ualpipe.clients.entra.roles:roles_of",
    "ualpipe.clients.entra.tokens:Tokens.get",
    "ualpipe.clients.posting.client_credentials:ClientCredentials.get",
    "ualpipe.clients.posting.cookies:Cookies.take",
    "ualpipe.clients.retry_after:retry_after_s",
    "ualpipe.clients.urls:resolved",
    "ualpipe.pipeline.commands._cases:read_cases",
    "ualpipe.pipeline.commands._search_conditions:read_conditions",
    "ualpipe.pipeline.commands._search_output:write",
    "ualpipe.pipeline.commands._tables:shown",
    "ualpipe.pipeline.commands.search:body_of",
    "ualpipe.pipeline.conditions.compiler:compile_conditions",
    "ualpipe.pipeline.config.loader:load_config",
    "ualpipe.pipeline.mailbox_audit.exports.clixml:rows_of_clixml",
    "ualpipe.pipeline.mailbox_audit.exports.csv_table:rows_of_csv",
    "ualpipe.pipeline.mailbox_audit.exports.json_rows:rows_of_json",
    "ualpipe.pipeline.mailbox_audit.exports.reader:read_member",
    "ualpipe.pipeline.mailbox_audit.exports.text_list:rows_of_text_list",
    "ualpipe.pipeline.reading.csv_export:pieces_of_export",
    "ualpipe.pipeline.reading.envelopes:Envelopes.pieces",
    "ualpipe.pipeline.reading.reader:chunks_of",
    "ualpipe.pipeline.records.cutting:chunks_of_array",
    "ualpipe.pipeline.records.cutting:entries_of",
    "ualpipe.pipeline.records.cutting:mended",
    "ualpipe.pipeline.records.json_reader:read_json",
    "ualpipe.pipeline.records.json_reader:read_strictly",
    "ualpipe.pipeline.redaction:blanked",
    "ualpipe.pipeline.report.schedule:read_runs",
    "ualpipe.pipeline.wording:visible",
    "ualpipe.sinks.archive.coverage:parse_coverage",
    "ualpipe.sinks.archive.layout:part_of",
    "ualpipe.sinks.elasticsearch.answers:refusal",
    "ualpipe.sinks.elasticsearch.bulk:failures",
    "ualpipe.sinks.elasticsearch.data_stream:bring_up_to_date",
    "ualpipe.sinks.elasticsearch.index_template:installed",
    "ualpipe.sinks.elasticsearch.probe:probe",
    "ualpipe.sinks.elasticsearch.product:unsupported",
    "ualpipe.sinks.file.lines:lines_end",
    "ualpipe.sinks.http.answers:judged",
    "ualpipe.sinks.logstash.frames:Acks.feed",
    "ualpipe.sinks.sentinel.answers:refusal",
    "ualpipe.sinks.splunk_hec.answers:acknowledged",
    "ualpipe.sinks.splunk_hec.answers:read",
    "ualpipe.sinks.splunk_hec.envelope:composer",
    "ualpipe.sinks.syslog.cef:cef",
    "ualpipe.sinks.syslog.leef:leef",
    "ualpipe.sinks.syslog.message:Composer.compose",
    "ualpipe.sinks.syslog.relp_frames:Answers.feed",
    "ualpipe.sinks.table.details:changes_of",
    "ualpipe.sinks.table.rows:columns_of",
    "ualpipe.sinks.table.rules:actions_of",
    "ualpipe.sources.files.walk:files_at",
    "ualpipe.sources.management_activity.body:whole_array",
    "ualpipe.sources.management_activity.errors:error_of",
    "ualpipe.sources.management_activity.source:ManagementActivitySource.discover",
    "ualpipe.sources.management_activity.source:ManagementActivitySource.fetch",
    "ualpipe.transforms.ecs.conversions.directory:json_value",
    "ualpipe.transforms.ecs.originals.shapes:parse_json",
)
"""Functions that read bytes, or text, of other systems or of users; and those that write it out where it could do harm."""


def reads(*names: str) -> Callable[[Any], Any]:
    """Marks a property test as a fuzz target of some of ``READERS``."""
    unknown = set(names) - set(READERS)
    assert not unknown, f"name them among READERS: {unknown}"
    is_long = settings.get_current_profile_name() == "fuzz"
    examples = int(os.environ.get("UALPIPE_FUZZ_EXAMPLES", "2500")) if is_long else FEW

    def mark(test: Any) -> Any:
        bounded = settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))(test)
        return pytest.mark.fuzz(bounded)

    return mark
