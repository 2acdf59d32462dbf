# The image of etcd-guard: Node, the bundle, and nothing to log in with.
#
#   docker build -t etcd-guard:0.1.0 .
#
# Both bases can be replaced, by newer digests or by images of a registry of yours:
#
#   docker build --build-arg NODE_IMAGE=registry.example.com/node:24 \
#     --build-arg RUNTIME_IMAGE=registry.example.com/cc-debian12:nonroot -t etcd-guard:0.1.0 .
#
# NODE_IMAGE has node and npm; node itself is copied from it into the image (NODE_BINARY says from where).
# RUNTIME_IMAGE needs glibc, libstdc++ and the CA certificates; it needs no shell.
# An .npmrc for another package registry: --secret id=npmrc,src=$HOME/.npmrc
ARG NODE_IMAGE=docker.io/library/node:24.21.0-bookworm-slim@sha256:2fe369e969550cde8e867afc3fe370b260140cab4a23d467074295b42163d553
ARG RUNTIME_IMAGE=gcr.io/distroless/cc-debian12:nonroot@sha256:9dac0a79194e45a7da0158a9c6da57b217585af0786db3845d1f0ec1a0dd182f

# The bundle is the same for every platform: made once, on the builder's own.
FROM --platform=$BUILDPLATFORM ${NODE_IMAGE} AS build
WORKDIR /build
COPY package.json package-lock.json ./
RUN --mount=type=secret,id=npmrc,target=/root/.npmrc npm ci --ignore-scripts --no-audit --no-fund
COPY rolldown.config.ts tsconfig.json ./
COPY src ./src
# The image's own node: the one in node_modules comes by an install script.
RUN node node_modules/rolldown/bin/cli.mjs --config rolldown.config.ts

FROM ${NODE_IMAGE} AS node

FROM ${RUNTIME_IMAGE}
ARG NODE_BINARY=/usr/local/bin/node
ARG VERSION=0.1.0
ARG REVISION=
ARG CREATED=
LABEL org.opencontainers.image.title="etcd-guard" \
  org.opencontainers.image.description="Validating admission webhook that keeps etcd on Kubernetes safe from pod deletions" \
  org.opencontainers.image.licenses="Apache-2.0" \
  org.opencontainers.image.version="${VERSION}" \
  org.opencontainers.image.revision="${REVISION}" \
  org.opencontainers.image.created="${CREATED}"
COPY --from=node ${NODE_BINARY} /usr/local/bin/node
COPY LICENSE package.json /app/
COPY --from=build /build/dist /app/dist
# deploy/webhook/node.env says why.
ENV NODE_ENV=production \
  NODE_OPTIONS="--max-old-space-size=96 --max-semi-space-size=4" \
  MALLOC_ARENA_MAX=1 \
  MALLOC_TRIM_THRESHOLD_=65536 \
  MALLOC_MMAP_THRESHOLD_=32768
WORKDIR /app
USER 65532:65532
EXPOSE 8443 8080
# Left to itself a young generation often stays at its smallest, which halves the rate of reviews; not
# allowed in NODE_OPTIONS.
ENTRYPOINT ["/usr/local/bin/node", "--min-semi-space-size=4", "/app/dist/main.js"]
CMD ["serve"]
