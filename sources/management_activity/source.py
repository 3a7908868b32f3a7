"""Collects audit records from the Office 365 Management Activity API."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from ualpipe.clients.entra.app import app_registration
from ualpipe.pipeline.credentials.options import Credential
from ualpipe.pipeline.errors import ConfigError, SourceError, SourceUnavailable, split_advice
from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.pipeline.records.cutting import chunks_of_array
from ualpipe.pipeline.stages import Env, Finding, Gap, Instant, Listed, WorkItem
from ualpipe.sources.management_activity.errors import NotPermitted, NotSubscribed, PageExpired
from ualpipe.sources.management_activity.options import ManagementActivityConfig
from ualpipe.sources.management_activity.permissions import WHERE_TO_GRANT, all_content_types, findings, lacking
from ualpipe.sources.management_activity.windows import RETENTION, Window, late, lost, reach, split_newest_first

if TYPE_CHECKING:
    from ualpipe.clients.http import Adapter
    from ualpipe.sources.management_activity.connection import Connection


_LONGEST_REACH_S = RETENTION.total_seconds()


class ManagementActivitySource:
    """Each content type is a stream, each content blob a work item.

    Subscriptions are started where they are missing. Each listing reaches back over what was listed before, newest first, so
    that content turning up late is found. A token is sent to the API's own host and nowhere else.
    """

    Config: ClassVar[type] = ManagementActivityConfig

    def __init__(self, config: ManagementActivityConfig, env: Env, *, adapter: Adapter | None = None) -> None:
        """Takes in the config.

        Args:
            config: The options.
            env: Clock, logger, metrics, budget, credentials.
            adapter: Takes the place of the network, for tests.

        Raises:
            ConfigError: Options do not go together.
        """
        self.tenant = config.tenant_id.lower()
        self._config = config
        self._env = env
        self._adapter = adapter
        self._credential = _checked(config, env)
        self._connection: Connection | None = None
        self._left_out: set[str] = set()  # content types, once the log says so
        self._lock = threading.Lock()

    def open(self) -> None:
        """Logs in. Idempotent, and cheap when it has been done.

        Raises:
            SourceDenied: The login service refuses the app, or a file of the config can't be used.
            SourceUnavailable, SourceThrottled: The login service gives no answer for now.
        """
        # Loads the HTTP and login libraries, which `check` of a config and `--help` have no time for.
        from ualpipe.sources.management_activity.connection import connect  # noqa: PLC0415

        with self._lock:
            if self._connection is None:
                self._connection = connect(self._config, self._credential, self._env, self._adapter)
        self._connection.client.log_in()

    def interrupt(self) -> None:
        """Ends all connections at once."""
        if (connection := self._connection) is not None:
            connection.session.cut()

    def close(self) -> None:
        """Closes the connections."""
        with self._lock:
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def streams(self) -> Sequence[str]:
        return tuple(self._config.content_types or all_content_types())

    def check(self) -> Iterable[Finding]:
        """Logs in, and looks at certificate, permissions, subscriptions and clock; starts nothing."""
        try:
            self.open()
        except SourceError as exc:
            yield _problem("login", exc)
            return
        connection = self._open_connection()
        yield Finding("ok", "login", f"app {self._credential.client_id} got a token for tenant {self.tenant}")
        yield from connection.check_certificate()
        unpermitted = dict(findings(self.streams(), connection.client.log_in(), are_named=bool(self._config.content_types)))
        yield from unpermitted.values()
        try:
            yield from connection.check_subscriptions([name for name in self.streams() if name not in unpermitted])
        except SourceError as exc:
            yield _problem("subscriptions", exc)
        yield from connection.check_clock()

    def discover(self, stream: str, since: Instant | None) -> Iterator[WorkItem | Listed | Gap]:
        """Lists content, the newest day first.

        What can no longer be fetched comes as a gap. An entry of the listing that can't be read costs itself alone: it is
        reported when all others are listed, and looked at again as far as later listings reach back. A content type that is
        collected by default, and refused as the app lacks its permission, is left out.
        """
        connection = self._open_connection()
        try:
            yield from self._discover(connection, stream, since)
        except NotPermitted:
            if not self._leaves_out(connection, stream):
                raise
        else:
            self._left_out.discard(stream)

    def _discover(self, connection: Connection, stream: str, since: Instant | None) -> Iterator[WorkItem | Listed | Gap]:
        now = self._env.clock.now()
        connection.subscriptions.ensure(stream)
        if gone := lost(now, since):
            yield Gap(
                gone.start, gone.end, f"{stream} was not listed for longer than the {RETENTION.days} days that content is kept"
            )
        whole = reach(now, since, start=timedelta(seconds=self._config.start), lookback=timedelta(seconds=self._config.lookback))
        unreadable: list[Any] = []
        yield from _items(connection, stream, whole, unreadable)
        yield Listed(now, whole.start if since is None else None)
        if before := late(now, since, whole, f"{self.tenant} {stream}"):
            yield from _items(connection, stream, before, unreadable)
        if unreadable:
            raise SourceUnavailable(
                f"listing {stream}: {len(unreadable)} items have no contentId or contentUri; all others were taken"
            )

    def fetch(self, item: WorkItem) -> Iterator[Chunk]:
        """Streams one content blob.

        Raises:
            SourceUnavailable: No whole body came; or the blob's address leads to a foreign host, which is asked nothing. Both are
                tried again for as long as the blob lives, then dead-lettered.
            SourceThrottled, SourceDenied: The service throttles or refuses the whole tenant.
            ContentGone: The blob expired or does not exist.
            ContentUndecodable: The blob is no JSON array of records, or larger than ``max_blob_size``.
        """
        client = self._open_connection().client
        for body in client.blob(item.locator["uri"], f"fetching {item.key}"):
            yield from chunks_of_array(body)

    def _leaves_out(self, connection: Connection, stream: str) -> bool:
        """Returns whether a content type that was refused is done without; the log says so once, until it is let in."""
        permission = "" if self._config.content_types else lacking(stream, connection.client.log_in())
        if permission and stream not in self._left_out:
            self._left_out.add(stream)
            grant = WHERE_TO_GRANT.format(permission=permission)
            self._env.log.warning("%s is left out: the app lacks the permission %s. What to do: %s", stream, permission, grant)
        return bool(permission)

    def _open_connection(self) -> Connection:
        connection = self._connection
        if connection is None:
            raise SourceUnavailable(f"source {self._env.name} is not open")
        return connection


def work_item(stream: str, entry: Any) -> WorkItem | None:
    """Returns the work item of one entry of a listing; None where it names no content. Unknown members do not matter."""
    if not isinstance(entry, Mapping):
        return None
    key, uri = entry.get("contentId"), entry.get("contentUri")
    if not (isinstance(key, str) and key and isinstance(uri, str) and uri):
        return None
    return WorkItem(stream, key, {"uri": uri}, _instant(entry.get("contentCreated")), _instant(entry.get("contentExpiration")))


def _instant(text: Any) -> Instant | None:
    """Returns a time of the service (``2026-11-20T08:15:00.000Z``), UTC where it has no zone; None where it is none."""
    try:
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (TypeError, ValueError, OverflowError):  # the latter for the first and last day of the calendar
        return None


def _items(connection: Connection, stream: str, whole: Window, unreadable: list[Any]) -> Iterator[WorkItem]:
    """Yields the work items of a period, the newest day first; entries that can't be read are appended to a list."""
    for window in split_newest_first(whole):
        for entry in _entries(connection, stream, window):
            if item := work_item(stream, entry):
                yield item
            else:
                unreadable.append(entry)


def _entries(connection: Connection, stream: str, window: Window) -> Iterator[Any]:
    """Yields the entries of a window, from its beginning again after the service lost the page or the subscription."""
    try:
        yield from _flat(connection.client.listing(stream, window))
    except (NotSubscribed, PageExpired) as exc:
        if isinstance(exc, NotSubscribed):
            connection.subscriptions.start(stream)
        yield from _flat(connection.client.listing(stream, window))


def _flat(pages: Iterator[list[Any]]) -> Iterator[Any]:
    return (entry for page in pages for entry in page)


def _checked(config: ManagementActivityConfig, env: Env) -> Credential:
    """Returns the credential of the source.

    Raises:
        ConfigError: The credential is missing or incomplete, or a duration is out of bounds.
    """
    where = f"sources.{env.name}"
    for name, value in (("start", config.start), ("lookback", config.lookback)):
        if value > _LONGEST_REACH_S:
            raise ConfigError(f"{where}.{name}: {value / 86400:g} days are more than the 7 that the service keeps content")
    if config.proxy and not config.proxy.reveal().startswith(("http://", "https://")):
        raise ConfigError(f"{where}.proxy: the value is not a URL that begins with http:// or https://")
    return app_registration(env.credentials, config.credential, f"{where}.credential")


def _problem(subject: str, exc: SourceError) -> Finding:
    happened, advice = split_advice(exc)
    return Finding("error", subject, happened, advice)
