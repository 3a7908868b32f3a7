"""The ``ecs`` transform."""

from ualpipe.transforms.ecs.options import EcsTransformConfig
from ualpipe.transforms.ecs.transform import EcsTransform

__all__ = ["EcsTransform", "EcsTransformConfig"]
