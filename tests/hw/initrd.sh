#!/bin/busybox sh
# Mounts the root disk, and below it the disk with our code, both known by their serials.
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mount -t sysfs sys /sys
for module in $(/bin/busybox cat /modules); do /bin/busybox insmod /lib/$module; done
found() { # SERIAL FLAGS FOLDER
  while :; do
    for disk in /sys/block/vd*; do
      if [ "$(/bin/busybox cat $disk/serial 2>/dev/null)" = "$1" ]; then
        /bin/busybox mount -t ext4 -o $2 /dev/${disk##*/} $3 && return
      fi
    done
    /bin/busybox usleep 20000
  done
}
found root rw /root
found code ro /root/opt
/bin/busybox umount /sys
/bin/busybox mount --move /dev /root/dev
exec /bin/busybox switch_root /root /bin/sh /opt/code/tests/hw/init.sh
