# Tap, target and the script for cron in one image: what goes from one to the other goes through a pipe, so they have to
# run in one container. To be built in a clone, and run with a folder that holds config.json (the tap's settings) and
# target.json (the target's), belongs to user 10001, and gets state.json, log and lock:
#
#   docker build --tag tap-fullstory .
#   docker run --rm --volume /srv/fullstory:/etc/fullstory tap-fullstory
#   docker run --rm --volume /srv/fullstory:/etc/fullstory --entrypoint tap-fullstory tap-fullstory \
#       --config /etc/fullstory/config.json --test
#
# Keys and passwords are in no layer: .dockerignore lets in only what is copied here. For another target change the first
# RUN, and CMD. hadolint checks this file (`make lint`), and tests do its steps outside of a container; none has built it.

FROM python:3.13-slim-trixie AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
# each in an environment of its own: their dependencies exclude each other
COPY scripts/constraints-target-postgres.txt scripts/
RUN python -m venv /opt/target-postgres \
    && /opt/target-postgres/bin/pip install -c scripts/constraints-target-postgres.txt meltanolabs-target-postgres
COPY setup.py pyproject.toml README.md LICENSE constraints.txt ./
COPY tap_fullstory tap_fullstory
RUN python -m venv /opt/tap-fullstory \
    && /opt/tap-fullstory/bin/pip install -c constraints.txt .

FROM python:3.13-slim-trixie
COPY --from=build /opt /opt
COPY examples/cron/tap-fullstory.sh /usr/local/bin/
ENV PATH=/opt/tap-fullstory/bin:/opt/target-postgres/bin:/usr/local/bin:/usr/bin:/bin
USER 10001:10001
ENTRYPOINT ["/usr/local/bin/tap-fullstory.sh"]
CMD ["/etc/fullstory", "target-postgres", "--config", "/etc/fullstory/target.json"]
