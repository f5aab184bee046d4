#!/bin/sh
# Process 1 of a node: everything that runs on the node ends with it, as in a crash.
#
# node-init.sh FOLDER     the node's folder, with its boot id in the file boot_id
set -eu
mount -t proc -o nosuid,nodev,noexec proc /proc
# The kernel's boot id is one for all nodes of this machine; a node's own changes when the node boots.
mount --bind "$1/boot_id" /proc/sys/kernel/random/boot_id
echo 1 > /proc/sys/net/ipv4/ip_forward
touch "$1/up"
# Waiting takes in orphans too.
while :; do
    sleep infinity &
    wait $!
done
