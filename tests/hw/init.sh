#!/bin/sh
# Process 1 of the machine. Subsystems are named one by one: what else a machine has costs emulation seconds.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc -o nosuid,nodev,noexec proc /proc
mount -t sysfs -o nosuid,nodev,noexec sysfs /sys
mount -t tmpfs -o nosuid,nodev run /run
mount -o remount,rw /
mkdir -p /run/lock /run/udev /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount --make-rshared /
/lib/systemd/systemd-udevd --daemon
for subsystem in pci usb scsi nvme virtio virtio-ports block; do
  udevadm trigger --type=devices --action=add --subsystem-match=$subsystem
done
udevadm settle --timeout=120
cd /opt/code
PYTHONPATH=/opt/code PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 -m tests.hw.inside
echo "the machine's end of the line has ended"
sync
exec sleep infinity
