"""The tables of the ``ecs`` transform, loaded."""

from __future__ import annotations

from ualpipe.transforms.ecs.conversions.registry import load_conversions
from ualpipe.transforms.ecs.fields import load_ecs
from ualpipe.transforms.ecs.mapping.layers import MappingTables, assemble
from ualpipe.transforms.ecs.mapping.model import MappingRow, Place, Table
from ualpipe.transforms.ecs.mapping.reader import read_tables, shipped_tables
from ualpipe.transforms.ecs.options import EcsTransformConfig


def load_mapping(config: EcsTransformConfig) -> MappingTables:
    """Returns the mapping that a config asks for: our tables with the user's on top.

    Raises:
        ConfigError: A mapping file is wrong.
    """
    own = read_tables(config.mapping, load_ecs(), load_conversions())
    return assemble(own, [*shipped_tables(), _settings(config)])


def _settings(config: EcsTransformConfig) -> Table:
    place = Place("config", 1)
    values = {
        "event.dataset": config.dataset,
        "data_stream.type": "logs",
        "data_stream.dataset": config.dataset,
        "data_stream.namespace": config.namespace,
    }
    return Table("config", "", None, tuple(MappingRow(to, place, value=value) for to, value in values.items()))
