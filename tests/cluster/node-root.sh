#!/bin/sh
# The root of a node. Runs first in the node's own mount, network and UTS namespaces, and stays as their keeper:
# they live as long as this process does, so ending it is what a power cut is for mounts.
#
# node-root.sh NAME FOLDER DEVICES SYSTEM STATE
#   NAME     of the node
#   FOLDER   of the node on the host: keeps mount points
#   DEVICES  folder of the kernel's devtmpfs that becomes the node's /dev
#   SYSTEM   block device with an ext4 of the node's own: all that it writes to its root survives reboots there
#   STATE    folder of the cluster, at the same place inside
#
# The root is an overlay over the host's, so that a node has the machine's programs and nothing of the host changes.
# The kubelet's and containerd's folders lie beside it, since an overlay can't lie on an overlay.
set -eu
name=$1 folder=$2 devices=$3 system=$4 state=$5

mkdir -p "$folder/system" "$folder/root"
mount -o noatime "$system" "$folder/system"
cd "$folder/system"
mkdir -p upper work kubelet containerd log
mount -t overlay overlay -o "lowerdir=/,upperdir=$PWD/upper,workdir=$PWD/work" "$folder/root"

root=$folder/root
[ -e upper/etc/machine-id ] || tr -d - < /proc/sys/kernel/random/uuid > "$root/etc/machine-id"
mkdir -p "$root/data" "$root/var/lib/kubelet" "$root/var/lib/containerd" "$root/var/log" "$root$state"
mount --bind kubelet "$root/var/lib/kubelet"
mount --bind containerd "$root/var/lib/containerd"
mount --bind log "$root/var/log"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mkdir -p "$root$state" "$root/run/lock"
mount --bind "$state" "$root$state"

mount -t sysfs -o nosuid,nodev,noexec sysfs "$root/sys"
mount --rbind /sys/fs/cgroup "$root/sys/fs/cgroup"
mount -t proc proc "$root/proc"

mount --bind "$devices" "$root/dev"
mkdir -p "$root/dev/pts" "$root/dev/shm" "$root/dev/mqueue"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
mount -t mqueue mqueue "$root/dev/mqueue"

hostname "$name"
cd "$root"
pivot_root . .
umount -l .
# Kubernetes' HostToContainer and Bidirectional mounts need a shared root.
mount --make-rshared /
umount /proc
cd /
touch "$folder/rooted"
exec sleep infinity
