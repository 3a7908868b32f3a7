"""An Elasticsearch node in a container of Elastic's own image, version 8 or 9."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

from servers import elasticsearch_nodes as nodes
from servers.certificates import Certificates
from servers.container import Recipe, ServerContainer

_HOME = "/usr/share/elasticsearch"
_CONFIG = f"{_HOME}/config"


def node(image: str, certificates: Certificates | None = None) -> Callable[[Path, int, int], ServerContainer]:
    """Returns what makes a node; with certificates it demands TLS and a log-in."""

    def make(_folder: Path, http_port: int, transport_port: int) -> ServerContainer:
        settings = nodes.common_settings(http_port, transport_port) | nodes.security_settings(with_log_in=bool(certificates))
        # The image has all modules; machine learning alone takes longer to start than all that the tests need.
        settings |= {"network.host": "0.0.0.0", "xpack.ml.enabled": "false"}
        files = {"elasticsearch.yml": "".join(f"{key}: {value}\n" for key, value in settings.items()).encode()}
        if certificates:
            files |= nodes.certificate_files(certificates) | {"roles.yml": nodes.WRITER_ROLE.encode()}
        recipe = Recipe(
            image=image,
            command=["bash", "-c", _run(with_log_in=bool(certificates))],
            ports=[http_port],
            files={f"{_CONFIG}/{name}": content for name, content in files.items()},
            environment={"ES_JAVA_OPTS": " ".join(("-XX:-UseG1GC", *nodes.java_options()))},
        )
        return ServerContainer(f"elasticsearch {image.rpartition(':')[2]}", recipe)

    return make


def _run(*, with_log_in: bool) -> str:
    """Returns the command; the users are there already when the container starts again, and making them fails."""
    users = [shlex.join([f"{_HOME}/bin/elasticsearch-users", *arguments]) for arguments in nodes.user_arguments()]
    makes = [f"({user} || true)" for user in users] if with_log_in else []
    return " && ".join([*makes, "exec /usr/local/bin/docker-entrypoint.sh eswrapper"])
