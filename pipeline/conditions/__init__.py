"""Conditions on events, in Sigma's notation: ``compiler`` compiles them."""

from ualpipe.pipeline.conditions.compiler import compile_conditions

__all__ = ["compile_conditions"]
