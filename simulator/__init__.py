"""A simulated Microsoft 365 tenant on loopback: login endpoint, Management Activity API, scripted faults, generated records."""
