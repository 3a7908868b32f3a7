"""YAML with positions: plain data, where each key and value stands in the file, and every defect of the text itself."""

from ualpipe.pipeline.marked_yaml.loading import load
from ualpipe.pipeline.marked_yaml.model import Defect, MarkedYaml, Pointer, dotted

__all__ = ["Defect", "MarkedYaml", "Pointer", "dotted", "load"]
