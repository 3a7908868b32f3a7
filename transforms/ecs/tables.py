"""Loads the mapping tables of the ``ecs`` transform: ours, the user's, and what its options say."""

from __future__ import annotations

from ualpipe.transforms.ecs.conversions.registry import load_conversions
from ualpipe.transforms.ecs.fields import load_ecs
from ualpipe.transforms.ecs.mapping.layers import MappingTables, assemble
from ualpipe.transforms.ecs.mapping.model import MappingRow, Place, RowCondition, SourcePath, Step, Table
from ualpipe.transforms.ecs.mapping.operators import make_test
from ualpipe.transforms.ecs.mapping.reader import read_tables, shipped_tables
from ualpipe.transforms.ecs.options import EcsTransformConfig


def load_mapping(config: EcsTransformConfig) -> MappingTables:
    """Returns the mapping that a config asks for: the user's tables on top of ours.

    Raises:
        ConfigError: A mapping file of the user's is wrong.
    """
    own = read_tables(config.mapping, load_ecs(), load_conversions())
    elastic = _elastic_content() if config.elastic_content else []
    return assemble(own, [*shipped_tables(), _settings(config), *elastic])


_PLACE = Place("config", 1)
_SIGN_INS = frozenset({"9", "15"})


def _settings(config: EcsTransformConfig) -> Table:
    """Returns the options that fill fields, as a table of constants."""
    values = {
        "event.dataset": config.dataset,
        "data_stream.type": "logs",
        "data_stream.dataset": config.dataset,
        "data_stream.namespace": config.namespace,
    }
    return Table("config", "", None, tuple(MappingRow(to, _PLACE, value=value) for to, value in values.items()))


def _elastic_content() -> list[Table]:
    """Returns what Elastic's rules ask for beside the true categories: to them a sign-in is an access to the web."""
    has_category = SourcePath("ecs:event.category", (Step("event"), Step("category")), "document")
    beside = RowCondition(has_category, make_test("exists", [True]), "ecs:event.category|exists: true", exists=True)
    went_well = RowCondition(
        SourcePath("Operation", (Step("Operation"),)), make_test("", ["UserLoggedIn"]), "Operation: UserLoggedIn"
    )
    web = MappingRow("event.category", _PLACE, value=["web"], is_array=True, when=(beside,))
    access = MappingRow("event.type", _PLACE, value=["access"], is_array=True, when=(went_well,))
    return [Table("config", "", None, (web,), is_own=True), Table("config", "", _SIGN_INS, (access,), is_own=True)]
