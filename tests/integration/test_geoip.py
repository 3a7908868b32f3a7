"""The command with ``geoip`` in its pipeline: files in, files out."""

from __future__ import annotations

import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import orjson
import pytest

import fakes
from geo_databases import CARRIER_AS, CITY, GENEVA_GEO, PRIVATE, write_asn, write_city
from runs import run_once, write_config

ADDRESSES = {1: CITY, 2: f"[{CITY}]:50000", 3: PRIVATE, 4: None}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with records to read and both databases."""
    records = [fakes.record(number, ClientIP=address) for number, address in ADDRESSES.items()]
    (tmp_path / "records.ndjson").write_bytes(b"\n".join(map(orjson.dumps, records)))
    write_city(tmp_path / "city.mmdb")
    write_asn(tmp_path / "asn.mmdb")
    return tmp_path


def config(folder: Path, sinks: dict[str, Any] | None = None, **geoip: Any) -> Path:
    stages = {
        "sources": {"files": {"type": "files", "paths": ["records.ndjson"]}},
        "transforms": [
            {"type": "validate"},
            {"type": "ecs"},
            {"type": "geoip", **(geoip or {"city_database": "city.mmdb", "asn_database": "asn.mmdb"})},
        ],
        "sinks": sinks
        or {
            "local": {"type": "file", "path": "out/all.ndjson"},
            "swiss": {"type": "file", "path": "out/swiss.ndjson", "when": {"source.geo.country_iso_code": "CH"}},
        },
    }
    return write_config(folder, stages)


def written(folder: Path, name: str) -> dict[int, dict[str, Any]]:
    """Returns the documents in a file by the number of their record."""
    documents = map(orjson.loads, (folder / "out" / name).read_bytes().splitlines())
    return {int(document["event"]["id"][-12:]): document for document in documents}


def check(path: Path) -> tuple[int, str]:
    command = [sys.executable, "-m", "ualpipe.pipeline.cli", "check", str(path)]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    return ended.returncode, ended.stdout + ended.stderr


def test_documents_arrive_with_place_and_network(folder: Path) -> None:
    code, log = run_once(config(folder))
    assert code == 0, log
    found = written(folder, "all.ndjson")
    assert found.keys() == ADDRESSES.keys()
    for number in (1, 2):
        assert (found[number]["source"]["geo"], found[number]["source"]["as"]) == (GENEVA_GEO, CARRIER_AS)
    assert found[3]["source"] == {"ip": PRIVATE, "address": PRIVATE}
    assert "source" not in found[4]


def test_conditions_of_sinks_see_the_place(folder: Path) -> None:
    code, log = run_once(config(folder))
    assert code == 0, log
    assert written(folder, "swiss.ndjson").keys() == {1, 2}


def test_search_index_finds_places_by_distance_and_networks_by_number(folder: Path, elasticsearch: Any) -> None:
    data_stream = f"logs-geoip.t{uuid.uuid4().hex[:12]}-default"
    sinks = {"search": {"type": "elasticsearch", "urls": [elasticsearch.url], "data_stream": data_stream}}
    code, log = run_once(config(folder, sinks))
    assert code == 0, log
    near = {"geo_distance": {"distance": "5km", "source.geo.location": {"lat": 46.2, "lon": 6.15}}}
    query = {"bool": {"filter": [near, {"range": {"source.as.number": {"gte": 64496, "lte": 64511}}}]}}
    elasticsearch.request("POST", f"/{data_stream}/_refresh")
    hits = elasticsearch.request("POST", f"/{data_stream}/_search", {"query": query})["hits"]["hits"]
    assert sorted(int(hit["_source"]["event"]["id"][-12:]) for hit in hits) == [1, 2]


def test_good_databases_pass_the_check(folder: Path) -> None:
    code, output = check(config(folder))
    assert code == 0, output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"city_database": "none.mmdb"}, "transforms[2].city_database: {folder}/none.mmdb: can't be read: No such file"),
        ({"asn_database": "city.mmdb"}, "transforms[2].asn_database: {folder}/city.mmdb: is a database of the type"),
        ({"city_database": "records.ndjson"}, "{folder}/records.ndjson: is not a whole MaxMind database"),
        ({"warn_after": "30d"}, "geoip: give `city_database`, `asn_database` or both"),
    ],
)
def test_wrong_database_ends_check_and_run_with_2(folder: Path, options: dict[str, str], message: str) -> None:
    path = config(folder, **options)
    for code, output in (check(path), run_once(path)):
        assert code == 2
        assert message.format(folder=folder) in output
        assert "Traceback" not in output
