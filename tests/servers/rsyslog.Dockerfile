# rsyslog with the GnuTLS driver and RELP, as Debian packages them. Configuration, certificates and the file of what came are mounted.
ARG BASE=debian:bookworm-slim
FROM ${BASE}
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends rsyslog rsyslog-gnutls rsyslog-relp \
    && rm -rf /var/lib/apt/lists/*
CMD ["rsyslogd", "-n", "-iNONE"]
