"""What our own processes take to deliver into each destination, on real servers."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from bench import pipeline_run
from bench.pipeline_run import Figures, Row

TESTS = Path(__file__).parents[1] / "tests"

Sink = dict[str, Any]


def measure(tenant_options: tuple[object, ...], floor_us: float, runs: int) -> dict[str, Figures]:
    """Prints and returns the figures of each sink, and of all four kinds together."""
    print(f"\ninto each destination, workers: 1, median of {runs}\n{pipeline_run.HEAD}")
    with _servers() as (kafka, elasticsearch, rsyslog, splunk):
        makers = _makers(kafka, elasticsearch, rsyslog, splunk)
        rows = {name: (name,) for name in makers}
        rows["all four"] = ("file", "kafka, confluent", "elasticsearch", "syslog, tcp")

        def sections(names: Sequence[str]) -> dict[str, Any]:
            rsyslog.forget()
            return {"sinks": {f"sink{at}": makers[name]() for at, name in enumerate(names)}}

        plan = [Row(row, tenant_options, partial(sections, names)) for row, names in rows.items()]
        return dict(zip(rows, pipeline_run.measure(plan, floor_us, runs), strict=True))


def _makers(kafka: Any, elasticsearch: Any, rsyslog: Any, splunk: Mapping[str, str]) -> dict[str, Callable[[], Sink]]:
    """Returns a function for each sink that makes its options, with a topic or index that is still empty."""
    numbers = itertools.count(1)

    def bus(driver: str) -> Sink:
        topic = f"bench-{next(numbers)}"
        kafka.create_topic(topic, retention_bytes=str(1 << 28), segment_bytes=str(1 << 26))
        return {"type": "kafka", "bootstrap_servers": [kafka.bootstrap_servers], "topic": topic, "driver": driver}

    siem = {"type": "syslog", "host": "localhost"}
    return {
        "file": lambda: {"type": "file", "path": "out/audit.ndjson"},
        "file, gzip": lambda: {"type": "file", "path": "out/audit.ndjson", "gzip": True},
        "kafka, confluent": lambda: bus("confluent"),
        "kafka, kafka-python": lambda: bus("kafka-python"),
        "elasticsearch": lambda: {
            "type": "elasticsearch",
            "urls": [elasticsearch.url],
            "data_stream": f"logs-o365.audit-bench{next(numbers)}",
        },
        "splunk_hec, acks after 1 s (fake)": lambda: {"type": "splunk_hec", **splunk},
        "syslog, tcp": lambda: {**siem, "transport": "tcp", "port": rsyslog.tcp_port},
        "syslog, tls": lambda: {
            **siem,
            "transport": "tls",
            "port": rsyslog.tls_port,
            "tls": {"ca_file": str(rsyslog.ca_file)},
        },
    }


@contextmanager
def _servers() -> Iterator[tuple[Any, Any, Any, Mapping[str, str]]]:
    """Starts the real servers of the tests, which `make servers` installs, and a fake of Splunk."""
    sys.path.append(str(TESTS))
    from servers.certificates import write_certificates  # noqa: PLC0415
    from servers.elasticsearch import find_elasticsearch  # noqa: PLC0415
    from servers.fake_splunk import TOKEN, in_its_own_process  # noqa: PLC0415
    from servers.kafka import find_kafka  # noqa: PLC0415
    from servers.rsyslog import find_rsyslog  # noqa: PLC0415
    from servers.run_folder import make_run_folder  # noqa: PLC0415

    folders = [make_run_folder() for _folder in range(4)]
    certificates = write_certificates(folders[0])
    with ExitStack() as stack:
        kafka = find_kafka(folders[1], certificates)
        stack.callback(kafka.stop)
        elasticsearch = find_elasticsearch(folders[2])
        stack.callback(elasticsearch.stop)
        rsyslog = find_rsyslog(folders[3], certificates)
        stack.callback(rsyslog.stop)
        yield kafka, elasticsearch, rsyslog, {"url": stack.enter_context(in_its_own_process(1.0)), "token": TOKEN}
