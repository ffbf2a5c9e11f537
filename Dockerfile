# manifestgen for pipelines that run jobs in containers, such as GitLab's and Jenkins'. Builds for amd64 and arm64:
#   docker buildx build --platform linux/amd64,linux/arm64 --tag manifestgen .
ARG PYTHON=docker.io/library/python:3.13-slim

FROM ${PYTHON} AS build
# Such as [build], to build images in a pipeline.
ARG EXTRAS=
COPY . /source
RUN python -m venv /opt/manifestgen \
 && /opt/manifestgen/bin/pip install --no-cache-dir --no-compile "/source${EXTRAS}"

FROM ${PYTHON}
COPY --from=build /opt/manifestgen /opt/manifestgen
# Without a shell of its own: jobs bring theirs, and the user is nobody's else.
RUN useradd --uid 10001 --create-home manifestgen
ENV PATH=/opt/manifestgen/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    MANIFESTGEN_NO_UPDATE_NOTE=1
USER 10001
WORKDIR /work
ENTRYPOINT ["manifestgen"]
CMD ["--help"]
