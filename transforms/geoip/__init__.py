"""The ``geoip`` transform."""

from ualpipe.transforms.geoip.options import GeoipTransformConfig
from ualpipe.transforms.geoip.transform import GeoipTransform

__all__ = ["GeoipTransform", "GeoipTransformConfig"]
