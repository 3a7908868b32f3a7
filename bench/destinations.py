"""What our own processes take to deliver into each destination, on real servers."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from bench import pipeline_run
from bench.pipeline_run import Figures, Row

TESTS = Path(__file__).parents[1] / "tests"

JSONLINE = "/insert/jsonline?_time_field=@timestamp&_msg_field=message&_stream_fields=event.provider"

Sink = dict[str, Any]


def measure(tenant_options: tuple[object, ...], floor_us: float, runs: int, wanted: Sequence[str] = ()) -> dict[str, Figures]:
    """Prints and returns the figures of each sink, and of four kinds together; ``wanted`` names some by words of their names."""
    print(f"\ninto each destination, workers: 1, median of {runs}\n{pipeline_run.HEAD}")
    with _servers() as servers:
        makers = _makers(servers)
        rows = {name: (name,) for name in makers}
        rows["all four"] = ("file", "kafka, confluent", "elasticsearch", "syslog, tcp")
        rows = {name: sinks for name, sinks in rows.items() if not wanted or any(word in name for word in wanted)}

        def sections(names: Sequence[str]) -> dict[str, Any]:
            servers.rsyslog.forget()
            return {"sinks": {f"sink{at}": makers[name]() for at, name in enumerate(names)}}

        plan = [Row(row, tenant_options, partial(sections, names)) for row, names in rows.items()]
        return dict(zip(rows, pipeline_run.measure(plan, floor_us, runs), strict=True))


def _makers(servers: SimpleNamespace) -> dict[str, Callable[[], Sink]]:
    """Returns a function for each sink that makes its options, with a topic or index that is still empty."""
    numbers = itertools.count(1)

    def bus(driver: str) -> Sink:
        topic = f"bench-{next(numbers)}"
        servers.kafka.create_topic(topic, retention_bytes=str(1 << 28), segment_bytes=str(1 << 26))
        return {"type": "kafka", "bootstrap_servers": [servers.kafka.bootstrap_servers], "topic": topic, "driver": driver}

    beats = {"type": "logstash", "hosts": [f"127.0.0.1:{servers.lumberjack.port}"], "tls": False}
    siem = {"type": "syslog", "host": "localhost"}
    return {
        "file": lambda: {"type": "file", "path": "out/audit.ndjson"},
        "archive": lambda: {"type": "archive", "path": "archive"},
        "file, gzip": lambda: {"type": "file", "path": "out/audit.ndjson", "gzip": True},
        "kafka, confluent": lambda: bus("confluent"),
        "kafka, kafka-python": lambda: bus("kafka-python"),
        "elasticsearch": lambda: {
            "type": "elasticsearch",
            "urls": [servers.elasticsearch.url],
            "data_stream": f"logs-o365.audit-bench{next(numbers)}",
        },
        **({"http": lambda: {"type": "http", "url": f"{servers.victoria_logs.url}{JSONLINE}"}} if servers.victoria_logs else {}),
        "sql": lambda: {**servers.postgres, "schema": f"bench{next(numbers)}"},
        "splunk_hec, acks after 1 s (fake)": lambda: {"type": "splunk_hec", **servers.splunk},
        "syslog, tcp": lambda: {**siem, "transport": "tcp", "port": servers.rsyslog.tcp_port},
        "syslog, tls": lambda: {
            **siem,
            "transport": "tls",
            "port": servers.rsyslog.tls_port,
            "tls": {"ca_file": str(servers.rsyslog.ca_file)},
        },
        "syslog, relp": lambda: {"type": "syslog", "host": "127.0.0.1", "transport": "relp", "port": servers.relp.tcp_port},
        "logstash": lambda: beats,
        "logstash, uncompressed": lambda: {**beats, "compression": 0},
        "sentinel, office_activity": lambda: _sentinel(servers.sentinel, "office_activity"),
        "sentinel, asim": lambda: _sentinel(servers.sentinel, "asim"),
    }


def _sentinel(sentinel: Any, profile: str) -> Sink:
    return {"type": "sentinel", "credential": "simulated-app", "profile": profile, **sentinel.options}


@contextmanager
def _servers() -> Iterator[SimpleNamespace]:
    """Starts the real servers of the tests, which `make servers` installs, and fakes of services that nobody else has."""
    sys.path.append(str(TESTS))
    from servers.certificates import write_certificates  # noqa: PLC0415
    from servers.elasticsearch import find_elasticsearch  # noqa: PLC0415
    from servers.installed import NotInstalled  # noqa: PLC0415
    from servers.kafka import find_kafka  # noqa: PLC0415
    from servers.lumberjack_receiver import find_lumberjack  # noqa: PLC0415
    from servers.peers.fake_splunk import TOKEN, in_its_own_process  # noqa: PLC0415
    from servers.peers.sentinel_scene import light_service  # noqa: PLC0415
    from servers.postgres import find_postgres  # noqa: PLC0415
    from servers.rsyslog import RELP, find_rsyslog  # noqa: PLC0415
    from servers.run_folder import make_run_folder  # noqa: PLC0415
    from servers.victoria_logs import victoria_logs  # noqa: PLC0415

    folders = [make_run_folder() for _folder in range(8)]
    certificates = write_certificates(folders[0])
    with ExitStack() as stack:
        kafka = find_kafka(folders[1], certificates)
        stack.callback(kafka.stop)
        elasticsearch = find_elasticsearch(folders[2])
        stack.callback(elasticsearch.stop)
        rsyslog = find_rsyslog(folders[3], certificates)
        stack.callback(rsyslog.stop)
        try:
            logs = stack.enter_context(victoria_logs())
        except NotInstalled as exc:
            print(f"without http: {exc}")
            logs = None
        relp = find_rsyslog(folders[4], certificates, RELP)
        stack.callback(relp.stop)
        lumberjack = find_lumberjack(folders[5], certificates)
        stack.callback(lumberjack.stop)
        postgres = find_postgres(folders[7], certificates)
        stack.callback(postgres.stop)
        yield SimpleNamespace(
            kafka=kafka,
            elasticsearch=elasticsearch,
            rsyslog=rsyslog,
            relp=relp,
            lumberjack=lumberjack,
            victoria_logs=logs,
            postgres={
                "type": "sql",
                "host": postgres.host,
                "port": postgres.port,
                "database": postgres.database,
                "user": postgres.user,
                "password": postgres.password,
                "sslmode": "disable",
            },
            splunk={"url": stack.enter_context(in_its_own_process(1.0)), "token": TOKEN},
            sentinel=stack.enter_context(light_service(folders[6])),
        )
