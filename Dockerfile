# Builds the connector's image: `inferwire` with the packages that it needs, without those that only `inferwire dev` needs.
# No file in it depends on the CPU architecture, so that the first stage runs once, on the machine that builds.
#   docker build -t inferwire:0.1.0 .
# docs/guides/kubernetes.md describes which parts are tested.

FROM --platform=$BUILDPLATFORM node:24.21.0-bookworm-slim AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc tsconfig.base.json tsconfig.json ./
COPY scripts/image.mjs scripts/
COPY packages packages
RUN npm ci
RUN npx tsc -b
RUN mkdir image && node scripts/image.mjs image
RUN cd image && npm sbom --sbom-format=cyclonedx > sbom.cdx.json

FROM node:24.21.0-bookworm-slim
# Removes the package managers: nothing is installed in a running container.
RUN rm -rf /usr/local/lib/node_modules /usr/local/bin/npm /usr/local/bin/npx /usr/local/bin/corepack /opt/yarn*
LABEL org.opencontainers.image.title="inferwire" \
      org.opencontainers.image.description="KServe inference over MQTT" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV NODE_ENV=production
WORKDIR /opt/inferwire
COPY --from=build /build/image ./
COPY LICENSE ./
USER 65532:65532
EXPOSE 8383
STOPSIGNAL SIGTERM
ENTRYPOINT ["node", "/opt/inferwire/node_modules/inferwire/bin/inferwire.js"]
CMD ["connect"]
