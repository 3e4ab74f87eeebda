# syntax=docker/dockerfile:1
# sockhop alone: docker-compose.yml starts it with all that belongs to it.

FROM rust:1-bookworm AS build
WORKDIR /sockhop
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/sockhop/target \
    cargo build --release --locked --bin sockhop \
    && cp target/release/sockhop /usr/local/bin/sockhop

FROM debian:bookworm-slim
# For stores with TLS.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --no-create-home --shell /usr/sbin/nologin sockhop
COPY --from=build /usr/local/bin/sockhop /usr/local/bin/sockhop
USER sockhop
EXPOSE 8081
# Drains on SIGTERM, which is what Docker sends: give it more time than --drain-timeout.
ENTRYPOINT ["sockhop"]
CMD ["serve", "--listen", "0.0.0.0:8081"]
