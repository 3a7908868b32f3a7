"""Log-in at Microsoft Entra ID with an app registration, for whichever API the token is."""
