#!/bin/sh
# Keeps one program of a node running, as systemd's Restart=always does on a real one: a kubelet that finds the
# CRI of its containerd not yet served ends with an error, and is meant to be started again.
#
# node-service.sh NAME FOLDER     runs FOLDER/NAME.command, a line of shell, again and again
while :; do
    code=0
    sh "$2/$1.command" || code=$?
    echo "node-service: $1 ended with $code, and is started again in a second" >&2
    sleep 1
done
