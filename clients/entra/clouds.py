"""The clouds of Microsoft: where one signs in. Where an API answers, the client of that API knows."""

from __future__ import annotations

from typing import Literal

CloudName = Literal["commercial", "gcc", "gcc_high", "dod"]

# Source: Microsoft identity platform, "National clouds". GCC signs in where the commercial cloud does.
AUTHORITIES: dict[CloudName, str] = {
    "commercial": "https://login.microsoftonline.com",
    "gcc": "https://login.microsoftonline.com",
    "gcc_high": "https://login.microsoftonline.us",
    "dod": "https://login.microsoftonline.us",
}
"""Root of the login service of each cloud, without a slash at the end."""

ROOT = r"^https://[A-Za-z0-9.-]+(:\d+)?/?$"
"""Pattern of an option that gives the root of a service in another cloud."""
