"""Options of the ``geoip`` transform."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ualpipe.pipeline.errors import ConfigError
from ualpipe.pipeline.options import Duration, option


@dataclass(frozen=True, slots=True, kw_only=True)
class GeoipTransformConfig:
    """Options of the ``geoip`` transform: at least one of the databases."""

    city_database: Path | None = option(
        "MaxMind DB file with places, for `source.geo`: GeoLite2 or GeoIP2 City, Country or Enterprise, or one made alike.",
        default=None,
    )
    asn_database: Path | None = option(
        "MaxMind DB file with networks, for `source.as`: GeoLite2 ASN, GeoIP2 ISP or Enterprise, or one made alike.",
        default=None,
    )
    warn_after: Duration = option("Age of a database from which the log warns of it.", default="90d")

    def __post_init__(self) -> None:
        """Refuses options with which the transform would do nothing."""
        if self.city_database is None and self.asn_database is None:
            raise ConfigError("geoip: give `city_database`, `asn_database` or both")
