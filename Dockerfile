# Seawall in a small image, not as root: docker build -t seawall .
#
#   docker run -v /etc/seawall:/etc/seawall:ro -p 443:443 -p 80:80 seawall
#   docker run -p 443:443 seawall run --node http://10.0.0.11 --node http://10.0.0.12
#
# The program may bind ports below 1024 and has no other privilege. Where capabilities are dropped, leave it that one:
# --cap-drop ALL --cap-add NET_BIND_SERVICE
#
# A virtual address ([vip]) belongs to the host, and takes two more. They come with the container, not with the program,
# so that it runs without them as well; user 0 is needed for them to arrive:
# --network host --user 0 --cap-drop ALL --cap-add NET_BIND_SERVICE --cap-add NET_ADMIN --cap-add NET_RAW

ARG BUILD_IMAGE=rust:1-bookworm
ARG RUN_IMAGE=debian:bookworm-slim

FROM ${BUILD_IMAGE} AS build
# Another profile of Cargo.toml builds faster and runs slower: quick.
ARG PROFILE=release
# For setcap.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates libcap2-bin \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
# Tests, too: Cargo wants every target that Cargo.toml names to be there. .dockerignore leaves the rest out.
COPY . .
RUN cargo build --locked --profile "${PROFILE}" --bin seawall \
    && install -D "target/${PROFILE}/seawall" /out/usr/bin/seawall \
    && setcap cap_net_bind_service=+ep /out/usr/bin/seawall \
    && mkdir /state

FROM ${RUN_IMAGE}
# The authorities that nodes with https may be certified by.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/ /
# For the certificate that a start without a configuration makes; keep it in a volume if clients trust it.
COPY --from=build --chown=65532:65532 /state /var/lib/seawall
USER 65532:65532
EXPOSE 443 80 9180
# Whether the process answers; whether it would serve is /readyz of the admin address.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 CMD ["/usr/bin/seawall", "status"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/seawall"]
CMD ["run", "-c", "/etc/seawall/seawall.toml"]
