"""Every transform keeps the contract."""

import pytest

from fakes import env
from geo_databases import write_city
from ualpipe.pipeline import registry
from ualpipe.pipeline.options import build
from ualpipe.testing import TRANSFORM_CHECKS, TransformCase, check_options

OPTIONS = {"validate": {}, "ecs": {}, "filter": {"drop": {"Operation": "Nothing"}}, "geoip": {"city_database": "city.mmdb"}}


@pytest.mark.parametrize("check", TRANSFORM_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", registry.installed("transforms"))
def test_transform_keeps_the_contract(name, check, tmp_path):
    write_city(tmp_path / "city.mmdb")
    cls = registry.load("transforms", name)
    check(TransformCase(lambda: cls(build(cls.Config, OPTIONS[name], tmp_path), env(name))))


@pytest.mark.parametrize("kind", registry.KINDS)
def test_every_option_of_every_stage_is_described(kind):
    for name in registry.installed(kind):
        check_options(registry.load(kind, name))
