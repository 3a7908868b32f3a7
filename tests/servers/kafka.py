"""A real Kafka broker: one KRaft node with the ways to log in that users meet."""

from __future__ import annotations

import base64
import os
import shlex
import string
import uuid
from pathlib import Path
from typing import NoReturn

from servers import docker_engine, installed, kafka_client
from servers.certificates import Certificates
from servers.container import Recipe, ServerContainer
from servers.install import KAFKA_JAVA
from servers.kafka_client import Message
from servers.missing import missing
from servers.ports import HOST, free_ports
from servers.process import Server, ServerProcess

ADDRESS_VARIABLE = "UALPIPE_TEST_KAFKA"

_SCRAM_USER = "SCRAM-SHA-256=[name=bob,password=s3cret]"
_START_S = 60
_INSIDE = "/tmp/ualpipe"  # configuration in a container: made when it is copied there, by root
_DATA = "/tmp/kafka"  # made by the broker
_PROGRAMS = "/opt/kafka/bin"  # in the image
_JAVA_OPTIONS = (
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",  # starts in half the time; nothing here runs long
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
)


class Kafka:
    """A broker of ours. Its ports and data outlive ``stop`` and ``kill``.

    Users: PLAIN ``alice``/``secret`` and, as at Event Hubs, ``$ConnectionString``; SCRAM-SHA-256 ``bob``/``s3cret``; any
    client certificate of the authority.

    Attributes:
        bootstrap_servers: ``host:port``, plain text.
        sasl_ssl: ``host:port``, TLS with PLAIN or SCRAM.
        ssl: ``host:port``, TLS with a client certificate.
        behind_proxy: Port of a plain text listener whose clients the broker sends to the port ``proxied``: a proxy's, if any.
    """

    def __init__(self, certificates: Certificates) -> None:
        plaintext, sasl_ssl, ssl, controller, self.behind_proxy, self.proxied = free_ports(6)
        self.bootstrap_servers = f"{HOST}:{plaintext}"
        self.sasl_ssl = f"localhost:{sasl_ssl}"
        self.ssl = f"localhost:{ssl}"
        self.ca_file = certificates.ca_file
        self.client_cert = certificates.client_cert
        self.client_key = certificates.client_key
        self._settings: dict[str, object] = {
            "plaintext": plaintext,
            "sasl_ssl": sasl_ssl,
            "ssl": ssl,
            "controller": controller,
            "behind_proxy": self.behind_proxy,
            "proxied": self.proxied,
        }
        self._cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        self._server: Server

    @property
    def is_running(self) -> bool:
        return self._server.is_running

    def start(self) -> None:
        """Starts the broker; returns when it answers for metadata."""
        self._server.start(lambda: kafka_client.is_serving(self.bootstrap_servers), timeout_s=_START_S)

    def stop(self) -> None:
        """Shuts the broker down in an orderly way."""
        self._server.stop()

    def kill(self) -> None:
        """Ends the broker as a crash would; the next start takes some seconds longer."""
        self._server.kill()

    def restart(self) -> None:
        self.stop()
        self.start()

    def create_topic(self, name: str, partitions: int = 1, **settings: str) -> None:
        """Makes a topic; settings as Kafka calls them, with ``_`` for dots (``max_message_bytes="1000"``)."""
        kafka_client.create_topic(self.bootstrap_servers, name, partitions, settings)

    def consume(self, topic: str, expected: int, timeout: float = 30) -> list[Message]:
        """Returns all messages of a topic, at the latest after ``timeout`` seconds: those may be fewer than expected, or more."""
        return kafka_client.consume(self.bootstrap_servers, topic, expected, timeout)

    def end_of(self, topic: str) -> int:
        """Returns how many messages a topic has ever got."""
        return kafka_client.end_of(self.bootstrap_servers, topic)

    def _configuration(self, **settings: object) -> str:
        template = string.Template((installed.HERE / "server.properties").read_text(encoding="utf-8"))
        return template.substitute(self._settings, **settings)

    def _format_arguments(self, properties: str) -> list[str]:
        """Returns what the storage tool is told, once, before the first start."""
        return ["format", f"--cluster-id={self._cluster_id}", "-c", properties, "--add-scram", _SCRAM_USER]


class LocalKafka(Kafka):
    """A broker of ours as a process of this machine."""

    def __init__(self, folder: Path, certificates: Certificates) -> None:
        super().__init__(certificates)
        jars = installed.require(installed.jar_folder("kafka")) / "libs"
        self._java = [str(installed.java_home(KAFKA_JAVA) / "bin/java"), *_JAVA_OPTIONS, "-cp", f"{jars}/*"]
        self._folder = folder
        self._properties = folder / "server.properties"
        settings = self._configuration(
            listen=HOST, folder=folder, ca_file=certificates.ca_file, server_file=certificates.server_file
        )
        self._properties.write_text(settings, encoding="utf-8")
        command = [*self._java, "-Xms64m", "-Xmx256m", "kafka.Kafka", str(self._properties)]
        self._server = ServerProcess("kafka", command, folder)

    def start(self) -> None:
        """Starts the broker; returns when it answers for metadata."""
        if not (self._folder / "data").exists():
            tool = [*self._java, "-Xmx128m", "kafka.tools.StorageTool"]
            installed.run_tool([*tool, *self._format_arguments(str(self._properties))])
        super().start()


class ContainerKafka(Kafka):
    """A broker of ours in a container of the project's own image."""

    def __init__(self, certificates: Certificates) -> None:
        super().__init__(certificates)
        ca_file, server_file, properties = (f"{_INSIDE}/{name}" for name in ("ca.pem", "server.pem", "server.properties"))
        settings = self._configuration(listen="0.0.0.0", folder=_DATA, ca_file=ca_file, server_file=server_file)
        files = {
            properties: settings.encode(),
            ca_file: certificates.ca_file.read_bytes(),
            server_file: certificates.server_file.read_bytes(),
        }
        format_once = shlex.join([f"{_PROGRAMS}/kafka-storage.sh", *self._format_arguments(properties), "--ignore-formatted"])
        run = f"{format_once} && exec {_PROGRAMS}/kafka-server-start.sh {properties}"
        recipe = Recipe(
            image=docker_engine.KAFKA,
            command=["bash", "-c", run],
            ports=[self._settings[name] for name in ("plaintext", "sasl_ssl", "ssl", "behind_proxy")],
            files=files,
            environment={"KAFKA_HEAP_OPTS": "-Xms64m -Xmx256m", "KAFKA_JVM_PERFORMANCE_OPTS": " ".join(_JAVA_OPTIONS[:2])},
        )
        self._server = ServerContainer("kafka", recipe)


class ExternalKafka:
    """A broker that the environment names: nothing but its plain text listener is known, and tests may not stop it."""

    is_running = True

    def __init__(self, bootstrap_servers: str) -> None:
        self.bootstrap_servers = bootstrap_servers

    def create_topic(self, name: str, partitions: int = 1, **settings: str) -> None:
        kafka_client.create_topic(self.bootstrap_servers, name, partitions, settings)

    def consume(self, topic: str, expected: int, timeout: float = 30) -> list[Message]:
        return kafka_client.consume(self.bootstrap_servers, topic, expected, timeout)

    def end_of(self, topic: str) -> int:
        return kafka_client.end_of(self.bootstrap_servers, topic)

    def stop(self) -> None:
        """Does nothing at the end of the run; see ``Kafka.stop``."""

    def __getattr__(self, name: str) -> NoReturn:
        missing(f"{ADDRESS_VARIABLE} names a broker of yours: {name!r} needs one that the tests start themselves")


def find_kafka(folder: Path, certificates: Certificates) -> Kafka | ExternalKafka:
    """Returns the broker that the environment names, else one of ours, started: in a container where Docker answers.

    Raises:
        NotInstalled: Its parts are not here.
        ServerFailed: It did not come up.
    """
    if address := os.environ.get(ADDRESS_VARIABLE):
        return ExternalKafka(address)
    kafka = ContainerKafka(certificates) if docker_engine.has(docker_engine.KAFKA) else LocalKafka(folder, certificates)
    kafka.start()
    return kafka
