#!/usr/bin/env bash
# Makes a throw-away authority and a certificate that it vouches for: dev.sh [DIRECTORY [NAME …]]
# For trying things out. Nobody should trust this authority for longer than that.
set -euo pipefail

directory=${1:-$(dirname "$0")}
shift $(($# > 0 ? 1 : 0))
if [ $# -eq 0 ]; then set -- localhost 127.0.0.1 ::1; fi

names=
for name in "$@"; do
    case $name in
        *:* | [0-9]*.[0-9]*.[0-9]*.[0-9]*) names+=${names:+,}IP:$name ;;
        *) names+=${names:+,}DNS:$name ;;
    esac
done

umask 077
mkdir -p "$directory"
cd "$directory"

requests=$(mktemp -d)
trap 'rm -rf "$requests"' EXIT
quiet() {
    "$@" 2>"$requests/said" || { cat "$requests/said" >&2; exit 1; }
}

quiet openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
    -subj '/CN=Seawall throw-away authority' \
    -addext 'basicConstraints=critical,CA:TRUE' -addext 'keyUsage=critical,keyCertSign,cRLSign' \
    -keyout ca-key.pem -out ca.pem
quiet openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
    -subj "/CN=$1" -keyout registry-key.pem -out "$requests/leaf.csr"
cat >"$requests/leaf.ext" <<END
basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage=serverAuth
subjectAltName=$names
END
quiet openssl x509 -req -in "$requests/leaf.csr" -CA ca.pem -CAkey ca-key.pem -set_serial "0x$(openssl rand -hex 16)" \
    -days 30 -sha256 -extfile "$requests/leaf.ext" -out registry.pem
chmod 644 ca.pem registry.pem
echo "certificate for $*: $PWD/registry.pem, key registry-key.pem, authority ca.pem"
