"""Options of the ``sql`` sink."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ualpipe.clients.tls import CA_FILE, CLIENT_CERTIFICATE, CLIENT_KEY, CLIENT_KEY_PASSWORD
from ualpipe.pipeline.options import Duration, Secret, option

SslMode = Literal["disable", "require", "verify-ca", "verify-full"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """Another log-in to the same database."""

    user: str = option("Role to log in as.", minLength=1)
    password: Secret | None = option("Its password; null where none is asked for.", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlSinkConfig:
    """Options of the ``sql`` sink."""

    host: str = option(
        "Name or address of the PostgreSQL server (15 or newer), or the folder of its Unix socket. Several, with commas between, "
        "are tried in turn, and the one that takes writes is used.",
        minLength=1,
        examples=["db.contoso.example", "db1.contoso.example,db2.contoso.example"],
    )
    port: int = option("Port of the server.", default=5432, minimum=1, maximum=65535)
    database: str = option("Database, in UTF-8.", default="ualpipe", minLength=1)
    user: str = option("Role to log in as.", default="ualpipe", minLength=1)
    password: Secret | None = option(
        "Its password. null where none is asked for, or libpq's own password file (`~/.pgpass`) has it.", default=None
    )
    sslmode: SslMode = option(
        "PostgreSQL's `sslmode`: `verify-full` checks the server's certificate and its name, `verify-ca` the certificate alone, "
        "`require` encrypts and checks nothing, `disable` does not encrypt.",
        default="verify-full",
    )
    ca_file: Path | None = option(f"{CA_FILE} PostgreSQL's `sslrootcert`.", default=None, reads=True)
    client_certificate: Path | None = option(f"{CLIENT_CERTIFICATE} PostgreSQL's `sslcert`.", default=None, reads=True)
    client_key: Path | None = option(f"{CLIENT_KEY} PostgreSQL's `sslkey`.", default=None, reads=True)
    client_key_password: Secret | None = option(f"{CLIENT_KEY_PASSWORD} PostgreSQL's `sslpassword`.", default=None)
    schema: str = option(
        "Schema with the tables, one for each independent store.", default="ualpipe", pattern=r"^[a-z_][a-z0-9_]{0,39}$"
    )
    setup: bool = option(
        "Whether to make the tables where they are missing, and to bring older ones up to date. The role has to own the schema, "
        "or be allowed to create it in the database. With `false`, a database administrator runs what `ualpipe sql schema` "
        "prints, and the role needs no more than to insert.",
        default=True,
    )
    keep: Duration | None = option(
        "How long events are kept, by the time of the act; a month is dropped as a whole once all of it is older. null keeps "
        "them for ever.",
        default=None,
    )
    connect_timeout: Duration = option("Longest time for connecting to a server and logging in; at least 2s.", default="10s")
    timeout: Duration = option("Longest time for one write.", default="60s")
    question_timeout: Duration = option("Longest time for one question of `ualpipe search` and `ualpipe report`.", default="10m")
    reader: Login | None = option(
        "Whom `ualpipe search` and `ualpipe report` log in as, with no more than the right to read; null for `user`.",
        default=None,
    )
