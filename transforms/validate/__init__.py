"""The ``validate`` transform."""

from ualpipe.transforms.validate.transform import ValidateTransform

__all__ = ["ValidateTransform"]
