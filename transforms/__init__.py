"""What changes events on their way: ``validate``, ``ecs``, ``filter``, ``geoip``."""
