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
    return assemble(own, [*shipped_tables(), _settings(config)])


def _settings(config: EcsTransformConfig) -> Table:
    """Returns the options that fill fields, as a table of constants."""
    place = Place("config", 1)
    values = {
        "event.dataset": config.dataset,
        "data_stream.type": "logs",
        "data_stream.dataset": config.dataset,
        "data_stream.namespace": config.namespace,
    }
    rows = [MappingRow(to, place, value=value) for to, value in values.items()]
    if config.elastic_content:
        rows.append(MappingRow("event.category", place, value=["web"], is_array=True))
        rows.append(MappingRow("event.type", place, value=["access"], is_array=True, when=(_signs_in(),)))
    return Table("config", "", None, tuple(rows), is_own=True)


def _signs_in() -> RowCondition:
    """Returns the condition of a sign-in that went well: to Elastic's content it is an access to the web."""
    source = SourcePath("Operation", (Step("Operation"),))
    return RowCondition(source, make_test("", ["UserLoggedIn"]), "Operation: UserLoggedIn")
