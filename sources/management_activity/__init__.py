"""The ``management_activity`` source."""

from ualpipe.sources.management_activity.options import ManagementActivityConfig
from ualpipe.sources.management_activity.source import ManagementActivitySource

__all__ = ["ManagementActivityConfig", "ManagementActivitySource"]
