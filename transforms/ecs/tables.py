"""Loads the mapping tables of the ``ecs`` transform: ours, the user's, and what its options say."""

from __future__ import annotations

from ualpipe.transforms.ecs.conversions.registry import load_conversions
from ualpipe.transforms.ecs.fields import load_ecs
from ualpipe.transforms.ecs.mapping.layers import MappingTables, assemble
from ualpipe.transforms.ecs.mapping.model import MappingRow, Place, Table
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
    return Table("config", "", None, tuple(MappingRow(to, place, value=value) for to, value in values.items()))
