"""What sources and sinks share for talking to other systems: HTTP, TLS, log-in at Entra ID. It knows no stage."""
