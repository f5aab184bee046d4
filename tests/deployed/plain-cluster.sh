#!/bin/bash
# A Kubernetes of one node, as plain as it gets, with tidb-volume deployed on it and a spare disk: so that
# `make e2e-deployed` is tried on a cluster that shares nothing with tests/cluster. Needs root, containerd, runc,
# the CNI plugins, busybox (static), xfsprogs, e2fsprogs, openssl, iproute2, skopeo, docker-registry (without it the
# program is taken out of Debian's package, and no service is started); and in PATH etcd, kube-apiserver,
# kube-controller-manager, kube-scheduler, kubelet and kubectl.
#
#   plain-cluster.sh up               starts it, and says how to use it
#   plain-cluster.sh deploy           pushes dist/*.tar (make image) to a registry of its own, as a user would to his,
#                                     and applies deploy/ with the images from there
#   plain-cluster.sh run COMMAND …    up, deploy, the command with KUBECONFIG and E2E_DISK set, and down
#   plain-cluster.sh down             takes it away, whole or broken
#
# All of it runs in mount, network, PID and UTS namespaces of its own. Outside of them there are its folder, two loop
# devices, a control group, and one end of a link with an address of 169.254/16, which ends with the namespaces.
set -euo pipefail

STATE=${PLAIN_STATE:-/var/lib/tidb-volume-plain}
NODE=plain
GROUP=tidb-volume-plain
LINK=tidb-volume0
OUTSIDE=169.254.89.1
API=169.254.89.2     # of the API server, from the host
ADDRESS=10.88.0.1    # of the node
SERVICE=10.96.0.1    # the ClusterIP of `kubernetes`, on the node itself: nobody needs kube-proxy
SPARE=/data/spare
PORT=5000            # of the registry: containerd takes images from a loopback address without TLS
MARK=PLAIN_CLUSTER_PROCESS=$STATE # in the environment of every process of it

self=$(realpath "$0")
root=$(cd "$(dirname "$0")/../.." && pwd)
pki=$STATE/pki

say() { echo "$*" >&2; }

fail() {
  say "plain-cluster: $*"
  exit 1
}

# wait_for WHAT COMMAND …: until it succeeds, for two minutes; then its last words, and the logs' place
wait_for() {
  local what=$1 said end=$((SECONDS + 120))
  shift
  until said=$("$@" 2>&1); do
    [ "$SECONDS" -lt "$end" ] || fail "waited two minutes for $what: $said (logs: $STATE/logs)"
    sleep 0.2
  done
}

hierarchies() { # of control groups
  if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    echo /sys/fs/cgroup
  else
    find /sys/fs/cgroup -mindepth 1 -maxdepth 1 -type d
  fi
}

# --- certificates -----------------------------------------------------------------------------------------------

issue() { # NAME USER GROUP
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 \
    -CA "$pki/ca.crt" -CAkey "$pki/ca.key" -subj "/O=$3/CN=$2" \
    -addext "basicConstraints=critical,CA:FALSE" \
    -addext "subjectAltName=DNS:localhost,DNS:$NODE,IP:127.0.0.1,IP:$API,IP:$ADDRESS,IP:$SERVICE" \
    -keyout "$pki/$1.key" -out "$pki/$1.crt" 2>/dev/null
}

kubeconfig() { # FILE SERVER CERTIFICATE
  cat >"$1" <<END
apiVersion: v1
kind: Config
clusters: [{name: plain, cluster: {server: "https://$2:443", certificate-authority: $pki/ca.crt}}]
users: [{name: user, user: {client-certificate: $pki/$3.crt, client-key: $pki/$3.key}}]
contexts: [{name: plain, context: {cluster: plain, user: user}}]
current-context: plain
END
}

certify() {
  mkdir -p "$pki"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=plain \
    -keyout "$pki/ca.key" -out "$pki/ca.crt" 2>/dev/null
  openssl ecparam -name prime256v1 -genkey -noout -out "$pki/accounts.key"
  openssl ec -in "$pki/accounts.key" -pubout -out "$pki/accounts.pub" 2>/dev/null
  issue apiserver kube-apiserver plain
  issue admin admin system:masters
  issue kube-controller-manager system:kube-controller-manager plain
  issue kube-scheduler system:kube-scheduler plain
  issue kubelet "system:node:$NODE" system:nodes
  kubeconfig "$STATE/kubeconfig" "$API" admin
  for part in kube-controller-manager kube-scheduler kubelet; do
    kubeconfig "$pki/$part.kubeconfig" "$ADDRESS" "$part"
  done
}

# --- inside: process 1 of the namespaces ------------------------------------------------------------------------

# The root is an overlay over the host's, on a disk of its own; /data, /dev, /run and /tmp are the node's.
make_root() { # SYSTEM DISK
  local node=$STATE/node
  mkdir -p "$STATE/system"
  mount "$1" "$STATE/system"
  mkdir -p "$STATE/system/"{upper,work,kubelet,containerd} "$node"
  mount -t overlay overlay -o "lowerdir=/,upperdir=$STATE/system/upper,workdir=$STATE/system/work" "$node"
  mkdir -p "$node/var/lib/"{kubelet,containerd} "$node$STATE" "$node$SPARE"
  mount --bind "$STATE/system/kubelet" "$node/var/lib/kubelet"
  mount --bind "$STATE/system/containerd" "$node/var/lib/containerd"
  mount -t tmpfs -o mode=755 tmpfs "$node/run"
  mount -t tmpfs -o mode=1777 tmpfs "$node/tmp"
  mkdir -p "$node$STATE"
  mount --bind "$STATE" "$node$STATE"
  mount -t sysfs -o nosuid,nodev,noexec sysfs "$node/sys"
  mount --rbind /sys/fs/cgroup "$node/sys/fs/cgroup"
  mount -t proc proc "$node/proc"
  mount -t tmpfs -o mode=755 tmpfs "$node/dev"
  make_dev "$node/dev" "$1" "$2"
  cd "$node"
  pivot_root . .
  umount -l .
  cd /
  mount --make-rshared /
  mount "$2" "$SPARE"
}

make_dev() { # FOLDER DEVICE …
  local dev=$1 number
  while read -r name major minor; do
    mknod -m 666 "$dev/$name" c "$major" "$minor"
  done <<<$'null 1 3\nzero 1 5\nfull 1 7\nrandom 1 8\nurandom 1 9\nkmsg 1 11\ntty 5 0\nfuse 10 229\nloop-control 10 237'
  for number in {0..15} "${@:2}"; do
    number=${number#/dev/loop}
    [ -e "$dev/loop$number" ] || mknod -m 660 "$dev/loop$number" b 7 "$number"
  done
  ln -s /proc/self/fd "$dev/fd"
  ln -s fd/0 "$dev/stdin"
  ln -s fd/1 "$dev/stdout"
  ln -s fd/2 "$dev/stderr"
  ln -s pts/ptmx "$dev/ptmx"
  mkdir "$dev/pts" "$dev/shm" "$dev/mqueue"
  mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$dev/pts"
  mount -t tmpfs -o mode=1777 tmpfs "$dev/shm"
  mount -t mqueue mqueue "$dev/mqueue"
}

configure() {
  mkdir -p "$STATE/cni"
  cat >"$STATE/cni/10-pods.conflist" <<END
{"cniVersion": "0.4.0", "name": "pods", "plugins": [{"type": "bridge", "bridge": "cni0", "isGateway": true,
 "ipam": {"type": "host-local", "dataDir": "/run/cni", "ranges": [[{"subnet": "10.244.0.0/24"}]],
          "routes": [{"dst": "0.0.0.0/0"}]}}]}
END
  cat >"$STATE/containerd.toml" <<END
version = 2
oom_score = 0
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "docker.io/library/busybox:latest"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$STATE/cni"
END
  cat >"$STATE/kubelet.yaml" <<END
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $ADDRESS
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $pki/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $pki/kubelet.crt
tlsPrivateKeyFile: $pki/kubelet.key
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
failCgroupV1: false
cgroupDriver: cgroupfs
cgroupRoot: /$GROUP
enforceNodeAllocatable: []
oomScoreAdj: 0
failSwapOn: false
resolvConf: ""
makeIPTablesUtilChains: false
evictionHard: {memory.available: 0%, nodefs.available: 0%, imagefs.available: 0%}
imageGCHighThresholdPercent: 100
END
}

service() { # NAME COMMAND …: runs it for good, as a service manager would
  local log=$STATE/logs/$1.log
  shift
  while :; do
    "$@" || echo "ended with $?"
    sleep 1
  done >>"$log" 2>&1 </dev/null &
}

inside() { # SYSTEM DISK
  hostname "$NODE"
  make_root "$1" "$2"
  ip link set lo up
  ip link add node type bridge
  ip address add "$ADDRESS/24" dev node
  ip address add "$SERVICE/32" dev node
  ip link set node up
  echo 1 >/proc/sys/net/ipv4/ip_forward
  configure
  cat >"$STATE/registry.yaml" <<END
{version: 0.1, log: {level: warn}, storage: {filesystem: {rootdirectory: $STATE/registry}}, http: {addr: "0.0.0.0:$PORT"}}
END
  touch "$STATE/rooted"

  service containerd containerd --config "$STATE/containerd.toml"
  service registry "$STATE/docker-registry" serve "$STATE/registry.yaml"
  service etcd etcd --name=plain --data-dir="$STATE/etcd" --unsafe-no-fsync --log-level=warn \
    --listen-client-urls=http://127.0.0.1:2379 --advertise-client-urls=http://127.0.0.1:2379 \
    --listen-peer-urls=http://127.0.0.1:2380
  service kube-apiserver kube-apiserver --etcd-servers=http://127.0.0.1:2379 \
    --secure-port=443 --bind-address=0.0.0.0 --advertise-address="$ADDRESS" \
    --tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" \
    --client-ca-file="$pki/ca.crt" \
    --kubelet-client-certificate="$pki/admin.crt" --kubelet-client-key="$pki/admin.key" \
    --kubelet-preferred-address-types=InternalIP \
    --service-account-key-file="$pki/accounts.pub" --service-account-signing-key-file="$pki/accounts.key" \
    --service-account-issuer=https://kubernetes.default.svc --service-cluster-ip-range=10.96.0.0/16 \
    --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --allow-privileged
  service kube-controller-manager kube-controller-manager \
    --kubeconfig="$pki/kube-controller-manager.kubeconfig" \
    --service-account-private-key-file="$pki/accounts.key" --root-ca-file="$pki/ca.crt" \
    --use-service-account-credentials --leader-elect=false --secure-port=0
  service kube-scheduler kube-scheduler --kubeconfig="$pki/kube-scheduler.kubeconfig" \
    --leader-elect=false --secure-port=0
  service kubelet kubelet --config="$STATE/kubelet.yaml" --kubeconfig="$pki/kubelet.kubeconfig" \
    --hostname-override="$NODE" --node-ip="$ADDRESS"
  # Process 1 takes in orphans.
  while :; do
    sleep infinity &
    wait $!
  done
}

# --- outside ----------------------------------------------------------------------------------------------------

on_node() { nsenter --target="$(cat "$STATE/init")" --mount --net --uts --pid -- "$@"; }

import() { on_node ctr --namespace=k8s.io images import - >/dev/null; } # an archive from standard input

registry_program() {
  local unpacked=$STATE/unpacked
  if command -v docker-registry >/dev/null; then
    cp "$(command -v docker-registry)" "$STATE/docker-registry"
    return
  fi
  mkdir -p "$unpacked"
  (cd "$unpacked" && apt-get download -qq docker-registry 2>/dev/null) \
    || fail "docker-registry is neither here nor to be had; as root: apt-get update"
  dpkg -x "$unpacked"/docker-registry*.deb "$unpacked"
  mv "$unpacked/usr/bin/docker-registry" "$STATE/docker-registry"
  rm -r "$unpacked"
}

busybox_image() {
  local files=$STATE/busybox program name stay digest
  program=$(command -v busybox)
  stay="trap 'exit 0' TERM; while :; do sleep 3600 & wait \$!; done"
  mkdir -p "$files/root/"{bin,etc,proc,sys,dev,tmp}
  cp "$program" "$files/root/bin/busybox"
  for name in $("$program" --list); do
    [ -e "$files/root/bin/$name" ] || ln -s busybox "$files/root/bin/$name"
  done
  tar -C "$files/root" --owner=0 --group=0 -cf "$files/layer.tar" .
  digest=$(sha256sum <"$files/layer.tar" | cut -d ' ' -f 1)
  cat >"$files/config.json" <<END
{"architecture": "$(uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/')", "os": "linux",
 "config": {"Cmd": ["/bin/sh", "-c", "$stay"], "Env": ["PATH=/bin"]},
 "rootfs": {"type": "layers", "diff_ids": ["sha256:$digest"]}}
END
  echo '[{"Config": "config.json", "RepoTags": ["busybox:latest"], "Layers": ["layer.tar"]}]' >"$files/manifest.json"
  tar -C "$files" -cf - manifest.json config.json layer.tar
  rm -r "$files"
}

up() {
  local program top name system spare init
  [ "$(id -u)" = 0 ] || fail "needs root"
  [ ! -e "$STATE" ] || fail "$STATE exists; $0 down takes it away"
  for program in etcd kube-apiserver kube-controller-manager kube-scheduler kubelet kubectl \
    containerd runc skopeo busybox mkfs.xfs mkfs.ext4 openssl ip losetup nsenter /usr/lib/cni/bridge; do
    command -v "$program" >/dev/null || fail "$program is missing; see the head of $0"
  done
  mkdir -p "$STATE/logs"
  registry_program
  say "certificates, disks, namespaces …"
  certify
  truncate -s 16G "$STATE/system.img"
  truncate -s 512M "$STATE/spare.img"
  mkfs.ext4 -q -E nodiscard "$STATE/system.img"
  mkfs.xfs -q "$STATE/spare.img"
  system=$(losetup --find --show "$STATE/system.img")
  spare=$(losetup --find --show "$STATE/spare.img")
  for top in $(hierarchies); do
    if [ "$top" = /sys/fs/cgroup ]; then
      sed 's/[^ ]*/+&/g' "$top/cgroup.controllers" >"$top/cgroup.subtree_control"
    fi
    mkdir -p "$top/$GROUP"
    for name in cpuset.cpus cpuset.mems; do
      [ ! -e "$top/$name" ] || [ "$top" = /sys/fs/cgroup ] || cat "$top/$name" >"$top/$GROUP/$name"
    done
  done
  env "$MARK" setsid unshare --mount --net --uts --pid --fork --propagation=private \
    bash "$self" inside "$system" "$spare" >"$STATE/logs/node.log" 2>&1 </dev/null &
  init=$!
  disown # its end is no news
  wait_for "the node's root" test -e "$STATE/rooted"
  tr -d ' ' <"/proc/$init/task/$init/children" >"$STATE/init"
  ip link add "$LINK" type veth peer name host netns "$(cat "$STATE/init")"
  ip address add "$OUTSIDE/30" dev "$LINK"
  ip link set "$LINK" up
  on_node ip address add "$API/30" dev host
  on_node ip link set host up

  say "containerd, API server, kubelet …"
  wait_for containerd on_node ctr version
  busybox_image | import
  export KUBECONFIG=$STATE/kubeconfig
  wait_for "the API server" kubectl get --raw /readyz
  wait_for "the node" kubectl get node "$NODE"
  kubectl wait --for=condition=Ready "node/$NODE" --timeout=120s >&2
  wait_for "the default service account" kubectl get serviceaccount default
  say "the cluster is up; to use it, and to stop it:"
  echo "export KUBECONFIG=$STATE/kubeconfig E2E_DISK=$NODE=$SPARE"
  say "$0 down"
}

deploy() {
  local name below
  export KUBECONFIG=$STATE/kubeconfig
  wait_for "the registry" bash -c "exec 3<>/dev/tcp/$API/$PORT"
  for name in controller daemon; do
    say "dist/$name.tar, to the registry …"
    skopeo copy --quiet --insecure-policy --dest-tls-verify=false \
      "docker-archive:$root/dist/$name.tar:tidb-volume/$name:dev" "docker://$API:$PORT/tidb-volume/$name:tried"
  done
  mkdir -p "$STATE/overlay"
  below=$(realpath --relative-to="$STATE/overlay" "$root/deploy")
  cat >"$STATE/overlay/kustomization.yaml" <<END
resources: [$below/base-crds, $below]
images:
- {name: tidb-volume/controller, newName: "127.0.0.1:$PORT/tidb-volume/controller", newTag: tried}
- {name: tidb-volume/daemon, newName: "127.0.0.1:$PORT/tidb-volume/daemon", newTag: tried}
patches: # its disks are loop devices
- target: {kind: DaemonSet, name: disk-daemon}
  patch: '[{"op": "add", "path": "/spec/template/spec/containers/0/args/-", "value": "--virtual-disks"}]'
END
  kubectl apply --server-side -k "$STATE/overlay" >&2
  kubectl wait --for=condition=Established crd --all --timeout=60s >/dev/null
  kubectl create -f "$root/deploy/fleet.yaml" >&2
  kubectl -n tidb-volume rollout status deployment/volume-controller --timeout=180s >&2
  kubectl -n tidb-volume rollout status daemonset/disk-daemon --timeout=180s >&2
}

processes() { # that carry the mark, by number
  local file pid
  for file in /proc/[0-9]*/environ; do
    pid=${file//[!0-9]/}
    if [ "$pid" != $$ ] && grep -qzxF "$MARK" "$file" 2>/dev/null; then echo "$pid"; fi
  done
}

holders() { # LOOP: what may still hold it, for who has to find out
  grep -lF "$1 " /proc/[0-9]*/mountinfo 2>/dev/null | sed 's/^/mounted in /'
  grep -E '^(Dirty|Writeback):' /proc/meminfo
  ps -eo pid,stat,comm,wchan:32 | awk '$2 ~ /^[DZ]/'
}

down() {
  local found top loop end=$((SECONDS + 30))
  while found=$(processes) && [ -n "$found" ]; do
    [ "$SECONDS" -lt "$end" ] || fail "processes that do not end: $found"
    xargs kill -KILL <<<"$found" 2>/dev/null || true
    sleep 0.2
  done
  ip link delete "$LINK" 2>/dev/null || true # else the kernel does it, some time after the last process
  for loop in $(losetup --list --noheadings --output=NAME,BACK-FILE | awk -v of="$STATE/" 'index($2, of) == 1 { print $1 }'); do
    # Its mounts go with their namespace, which the kernel clears away later than its processes, once all that is
    # not written yet has been: a slow disk takes its time for it.
    losetup --detach "$loop" 2>/dev/null || true # at once if nothing holds it, else by who lets go last
    end=$((SECONDS + 180))
    while losetup "$loop" >/dev/null 2>&1; do
      [ "$SECONDS" -lt "$end" ] || fail "$loop is held by something: $(holders "$loop")"
      sleep 0.2
    done
  done
  for top in $(hierarchies); do
    [ ! -e "$top/$GROUP" ] || find "$top/$GROUP" -depth -type d -exec rmdir {} +
  done
  rm -rf "$STATE"
}

run() {
  trap down EXIT
  up >/dev/null
  deploy
  KUBECONFIG=$STATE/kubeconfig E2E_DISK=$NODE=$SPARE "$@"
}

case ${1:-} in
up | deploy | down) "$1" ;;
run) "$@" ;;
inside) inside "$2" "$3" ;;
*) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$self" >&2 && exit 1 ;;
esac
