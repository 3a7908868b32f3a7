"""Where audit records come from: ``management_activity``, ``files``."""
