#!/usr/bin/env bash
# A cluster to play with: two stand-in Harbor nodes with one storage, Redis, and Seawall in front of them. Pushes an
# image, kills the node that took most of it, pulls the image back, and tells who served what. Then it stays up until
# Ctrl-C; with ONCE=1 in the environment it ends. Nothing that it started or wrote outlives it.
set -euo pipefail

here=$(cd "$(dirname "$0")/.." && pwd)
once=${ONCE:-}
user='admin'
password=Harbor12345
image=library/demo
tag=1
layers=5
layer_bytes=10000000

bold='' dim='' green='' red='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ] && [ "${TERM:-dumb}" != dumb ]; then
    bold=$'\e[1m' dim=$'\e[2m' green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m'
fi

doing='starting'
blame=
step() {
    doing=$1
    blame=${2:-}
    echo "${dim}··${plain} $1"
}
say() { echo "   $*"; }
fail() {
    echo "${red}   $*${plain}" >&2
    exit 1
}

# An orderly end, whatever happens.

state=
declare -A pids=()
finish() {
    status=$?
    trap - EXIT
    trap '' INT TERM HUP
    set +e
    if [ "$status" -ne 0 ] && [ "$status" -lt 128 ]; then
        echo "${red}The demo failed while: $doing${plain}" >&2
        if [ -n "$blame" ] && [ -s "$blame" ]; then
            echo "The last lines of ${blame##*/}:" >&2
            tail -n 15 "$blame" >&2
        fi
    fi
    if [ ${#pids[@]} -gt 0 ]; then
        # The door first, so that nobody knocks at nodes that have gone.
        halt TERM seawall
        for name in "${!pids[@]}"; do halt TERM "$name"; done
        for name in "${!pids[@]}"; do halt KILL "$name"; done
    fi
    if [ -n "$state" ]; then rm -rf "$state"; fi
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

# Each program leads a group of its own, so that its children end with it.
start() {
    local name=$1
    shift
    TMPDIR=$state/tmp setsid "$@" >"$state/log/$name.log" 2>&1 </dev/null &
    pids[$name]=$!
    disown
}
halt() {
    local pid=${pids[$2]:-}
    [ -n "$pid" ] || return 0
    kill "-$1" -- "-$pid" 2>/dev/null
    for _ in {1..50}; do
        kill -0 -- "-$pid" 2>/dev/null || break
        sleep 0.1
    done
    if ! kill -0 -- "-$pid" 2>/dev/null; then unset "pids[$2]"; fi
}
alive() {
    kill -0 "${pids[$1]}" 2>/dev/null || fail "$1 ended unexpectedly"
}
# until_true PROGRAM COMMAND …: polls for 30 s, as long as the program lives.
until_true() {
    local name=$1
    shift
    for _ in {1..300}; do
        if "$@" >/dev/null 2>&1; then return; fi
        alive "$name"
        sleep 0.1
    done
    fail "$name did not get ready"
}

# free ADDRESS PORT: the first port from there on at which nobody listens.
free() {
    local port=$2
    while (exec 3<>"/dev/tcp/$1/$port") 2>/dev/null; do port=$((port + 1)); done
    echo "$port"
}

# What it takes: programs, a certificate, ports.

step 'looking for what the demo needs: redis-server, docker-registry, skopeo, htpasswd, openssl, curl'
"$here/deploy/install-tools.sh" demo
if ! command -v cargo >/dev/null; then PATH=$PATH:$HOME/.cargo/bin; fi
command -v cargo >/dev/null || fail 'Rust is missing: see https://rustup.rs'

step 'building Seawall and the stand-in node (the first time takes some minutes)'
cd "$here"
cargo build --locked --profile quick --bin seawall --example harbor-node
built=${CARGO_TARGET_DIR:-target}/quick
seawall=$(realpath "$built/seawall")
node=$(realpath "$built/examples/harbor-node")

state=$(mktemp -d "${TMPDIR:-/tmp}/seawall-demo.XXXXXX")
mkdir "$state/log" "$state/tmp" "$state/redis" "$state/storage"
log=$state/log/seawall.log

https=$(free 127.0.0.1 8443)
http=$(free 127.0.0.1 8080)
admin=$(free 127.0.0.1 9180)
redis=$(free 127.0.0.1 6390)
declare -A at=([harbor-1]=127.0.0.11:$(free 127.0.0.11 8080) [harbor-2]=127.0.0.12:$(free 127.0.0.12 8080))
public=localhost:$https
export SEAWALL_ADMIN=http://127.0.0.1:$admin

step 'making a throw-away authority and a certificate'
"$here/certs/dev.sh" "$state/certs" localhost 127.0.0.1 >"$state/log/certs.log" 2>&1 || {
    blame=$state/log/certs.log
    exit 1
}
ca=$state/certs/ca.pem
# What skopeo takes for the place of trusted authorities: only files that end in .crt.
mkdir "$state/trust"
cp "$ca" "$state/trust/ca.crt"

# The cluster.

step 'starting Redis' "$state/log/redis.log"
start redis redis-server --port "$redis" --bind 127.0.0.1 --dir "$state/redis" --save '' --daemonize no
until_true redis redis-cli -p "$redis" ping

start_node() {
    start "$1" "$node" --name "$1" --listen "${at[$1]}" --storage "$state/storage" --key "$state/token-key.pem" \
        --redis "redis://127.0.0.1:$redis/0" --external-url "https://$public"
    until_true "$1" curl -fsS --max-time 2 "http://${at[$1]}/api/v2.0/ping"
}
for name in harbor-1 harbor-2; do
    step "starting $name, a stand-in for a Harbor node, at http://${at[$name]}" "$state/log/$name.log"
    start_node "$name"
done

step "starting Seawall at https://$public" "$log"
cat >"$state/seawall.toml" <<END
state_dir = "$state/seawall"

[[listen]]
address = "127.0.0.1:$https"

[[listen.certificate]]
chain = "certs/registry.pem"
key = "certs/registry-key.pem"

[[listen]]
address = "127.0.0.1:$http"
redirect_to_https = true

[cluster]
public_url = "https://$public"

[[cluster.node]]
name = "harbor-1"
url = "http://${at[harbor-1]}"

[[cluster.node]]
name = "harbor-2"
url = "http://${at[harbor-2]}"

[cluster.account]
user = "robot\$seawall"
password = "Robot12345"

[admin]
address = "127.0.0.1:$admin"
END
start seawall "$seawall" run -c "$state/seawall.toml"
up() { # up N: so many nodes are up
    [ "$("$seawall" status | grep -cE '^harbor-[12] +up ')" -eq "$1" ]
}
until_true seawall curl -fsS --max-time 2 "$SEAWALL_ADMIN/readyz"
until_true seawall up 2

# An image, made by hand: random bytes do not shrink, and no layer is known from before.

layout=$state/image
mkdir -p "$layout/blobs/sha256" "$state/root"
digest() { sha256sum "$1" | cut -d' ' -f1; }
# keep FILE: moves a file among the blobs; prints the part of a descriptor that names it.
keep() {
    local name size
    name=$(digest "$1")
    size=$(stat -c %s "$1")
    mv "$1" "$layout/blobs/sha256/$name"
    printf '"digest":"sha256:%s","size":%s' "$name" "$size"
}
step "making an image of $((layers * layer_bytes / 1000000)) MB in $layers layers of random bytes"
diffs='' descriptors=''
for ((layer = 1; layer <= layers; layer++)); do
    head -c "$layer_bytes" /dev/urandom >"$state/root/noise-$layer"
    tar -C "$state/root" --owner=0 --group=0 --numeric-owner -cf "$state/tmp/layer.tar" "noise-$layer"
    rm "$state/root/noise-$layer"
    diffs+=${diffs:+,}\"sha256:$(digest "$state/tmp/layer.tar")\"
    gzip -1 -n "$state/tmp/layer.tar"
    descriptors+=${descriptors:+,}"{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar+gzip\",$(keep "$state/tmp/layer.tar.gz")}"
done
printf '{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[%s]}}' "$diffs" \
    >"$state/tmp/config"
printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"%s",%s},"layers":[%s]}' \
    application/vnd.oci.image.config.v1+json "$(keep "$state/tmp/config")" "$descriptors" >"$state/tmp/manifest"
pushed=sha256:$(digest "$state/tmp/manifest")
printf '{"schemaVersion":2,"manifests":[{"mediaType":"%s",%s,"annotations":{"org.opencontainers.image.ref.name":"%s"}}]}' \
    application/vnd.oci.image.manifest.v1+json "$(keep "$state/tmp/manifest")" "$tag" >"$layout/index.json"
echo '{"imageLayoutVersion":"1.0.0"}' >"$layout/oci-layout"

# The story.

# The lines of the access log from a line on, as: node class status attempts bytes_in bytes_out
lines() {
    tail -n "+$1" "$log" | awk '
        function of(key) {
            if (!match($0, "\"" key "\":\"?[^\",}]*")) return "-"
            value = substr($0, RSTART, RLENGTH)
            sub("^\"" key "\":\"?", "", value)
            return value
        }
        /"class":/ && /"bytes_in":/ { print of("node"), of("class"), of("status"), of("attempts"), of("bytes_in"), of("bytes_out") }'
}
# has FROM CLASS COUNT: whether the log has so many good answers of a class; it is written a moment after the answer.
has() {
    [ "$(lines "$1" | awk -v class="$2" '$2 == class && $3 ~ /^20[0-6]$/' | wc -l)" -ge "$3" ]
}
# told FROM: who served what.
told() {
    lines "$1" | sort | awk -v bold="$bold" -v plain="$plain" '
        $1 ~ /^harbor-/ { requests[$1]++; in_[$1] += $5; out[$1] += $6 }
        END {
            for (name in requests)
                printf "     %s%s%s  %3d requests, took %5.1f MB, gave %5.1f MB\n", bold, name, plain, requests[name], in_[name] / 1e6, out[name] / 1e6
        }' | sort
}
next_line() { echo $(($(wc -l <"$log") + 1)); }
seconds() { awk -v ns="$(($(date +%s%N) - $1))" 'BEGIN { printf "%.1f s", ns / 1e9 }'; }
# In the background, so that a signal ends the wait for it.
carry() {
    local ended=0
    setsid timeout 300 skopeo --insecure-policy --tmpdir "$state/tmp" copy -q --preserve-digests "$@" \
        >"$state/log/skopeo.log" 2>&1 </dev/null &
    pids[skopeo]=$!
    wait "$!" || ended=$?
    unset 'pids[skopeo]'
    return "$ended"
}

step "pushing it to $public/$image:$tag" "$state/log/skopeo.log"
from=$(next_line)
begun=$(date +%s%N)
carry --dest-cert-dir "$state/trust" --dest-creds "$user:$password" "oci:$layout:$tag" "docker://$public/$image:$tag" ||
    fail 'the push failed'
took=$(seconds "$begun")
until_true seawall has "$from" manifest_write 1
say "pushed in $took; by Seawall's access log:"
told "$from"

victim=$(lines "$from" | awk '$1 ~ /^harbor-/ { sum[$1] += $5 } END { for (name in sum) if (sum[name] >= most) { most = sum[name]; best = name } print best }')
[ -n "$victim" ] || fail 'the access log names no node'
step "killing $victim, which took most of it: no goodbye, as when the power fails" "$log"
halt KILL "$victim"

step 'pulling it back at once, with one node of two dead' "$state/log/skopeo.log"
from=$(next_line)
begun=$(date +%s%N)
carry --src-cert-dir "$state/trust" --src-creds "$user:$password" "docker://$public/$image:$tag" "oci:$state/back:$tag" ||
    fail 'the pull failed'
took=$(seconds "$begun")
until_true seawall has "$from" blob_read $((layers + 1))
say "pulled in $took; by Seawall's access log:"
told "$from"
again=$(lines "$from" | awk '$4 > 1' | wc -l)
if [ "$again" -gt 0 ]; then
    say "$again of them met the dead node first and went on to the other; skopeo saw no error"
fi

step 'comparing' "$state/log/skopeo.log"
pulled=$(grep -o 'sha256:[0-9a-f]*' "$state/back/index.json" | head -n 1)
say "pushed $pushed"
say "pulled $pulled"
[ "$pushed" = "$pulled" ] || fail 'the digests differ'
diff -r "$layout/blobs" "$state/back/blobs" >/dev/null || fail 'the blobs differ'
echo "${green}${bold}   The same, bit for bit.${plain}"

if [ -n "$once" ]; then exit 0; fi

# The time to play.

step "starting $victim again" "$state/log/$victim.log"
start_node "$victim"
until_true seawall up 2

cat <<END

${bold}It is yours now${plain}, until Ctrl-C. User $user, password $password.

  ${bold}See how the nodes are${plain}
    $seawall status --admin $SEAWALL_ADMIN
    curl $SEAWALL_ADMIN/metrics
  ${bold}Ask the registry${plain}
    curl --cacert $ca -u $user:$password https://$public/v2/
    curl --cacert $ca https://$public/api/v2.0/health
    curl -i http://localhost:$http/v2/        ${dim}# sent on to https${plain}
  ${bold}Push and pull${plain} ${dim}(docker takes any certificate from localhost)${plain}
    docker login -u $user -p $password $public
    docker pull alpine && docker tag alpine $public/library/alpine && docker push $public/library/alpine
    skopeo inspect --cert-dir $state/trust --creds $user:$password docker://$public/$image:$tag
  ${bold}Kill a node, and watch${plain}
    kill -KILL -- -${pids[harbor-1]}          ${dim}# harbor-1; harbor-2 is -${pids[harbor-2]}${plain}
    tail -f $log
  ${bold}Change the configuration${plain}, then make it read again
    $state/seawall.toml
    $seawall reload --admin $SEAWALL_ADMIN

  Everything is in $state and goes with the demo.
END
doing='waiting for Ctrl-C'
blame=$log
trap 'echo; echo "Cleaning up."; exit 0' INT
while alive seawall; do
    sleep 1 &
    wait $! || true
done
