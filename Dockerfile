# Signpost and the certificates of the public authorities, nothing else: no shell, no
# package manager, no user with a name.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
# The version that "signpost version" prints comes from .git.
RUN CGO_ENABLED=0 go build -trimpath -o /out/signpost ./cmd/signpost
RUN mkdir -m 0700 /out/data

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/signpost /usr/local/bin/signpost
# For SQLite: a volume mounted here belongs to the user below. PostgreSQL needs none.
COPY --from=build --chown=65532:65532 /out/data /var/lib/signpost
ENV PATH=/usr/local/bin
ENV SIGNPOST_DATA_DIR=/var/lib/signpost
ENV SIGNPOST_OPERATIONS_LISTEN=127.0.0.1:9480
USER 65532:65532
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s --retries=3 CMD ["signpost", "ready"]
ENTRYPOINT ["signpost"]
CMD ["serve"]
