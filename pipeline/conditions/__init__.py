"""Conditions on events, in Sigma's notation."""

from ualpipe.pipeline.conditions.compiler import Condition, compile_conditions

__all__ = ["Condition", "compile_conditions"]
