"""What sources and sinks share towards other systems: HTTP, TLS, log-in at Entra ID. Knows no stage."""
