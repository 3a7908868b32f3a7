"""The ``validate`` transform."""

from ualpipe.transforms.validate.options import ValidateTransformConfig
from ualpipe.transforms.validate.transform import ValidateTransform

__all__ = ["ValidateTransform", "ValidateTransformConfig"]
