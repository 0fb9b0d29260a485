#!/bin/busybox sh
# First process of a lab host. /host becomes the root of cases: this machine's files, read-only, with the repository and
# the folder that cases come from in /tmp. Then it serves one number after the other from the port: the case of that
# name in the folder is run, beside the others, and its number goes back when its results are there.
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
ip link set lo up
# As many as service managers allow.
ulimit -Hn 524288
while read -r module; do
    insmod "/modules/$module.ko"
done </modules/order

share() { mount -t 9p -o "trans=virtio,version=9p2000.L,msize=512000,$3" "$1" "$2"; }
share host /host ro,cache=loose
# A disk of this name is for what tests write: tmpfs and 9p cannot be mounted with users mapped.
if disk=$(findfs LABEL=scratch); then
    mount "$disk" /host/tmp
    chmod 1777 /host/tmp
else
    mount -t tmpfs tmpfs /host/tmp
fi
mount -t tmpfs tmpfs /host/run
mkdir /host/tmp/repository /host/tmp/cases
share repository /host/tmp/repository ro,cache=loose
share cases /host/tmp/cases cache=none
mount --bind /proc /host/proc
mount --bind /sys /host/sys
mount -t cgroup2 cgroup2 /host/sys/fs/cgroup
mount --bind /dev /host/dev
mkdir -p /host/dev/pts /host/dev/shm
mount -t devpts devpts /host/dev/pts
mount -t tmpfs tmpfs /host/dev/shm
ln -s /proc/self/fd /host/dev/fd
for number in 0:stdin 1:stdout 2:stderr; do
    ln -s "/proc/self/fd/${number%:*}" "/host/dev/${number#*:}"
done

run_case() {
    work=/tmp/run-$1
    mkdir "/host$work"
    # The root of a mount namespace, not only of a process: the kernel gives no user namespace to a chroot.
    unshare -m /bin/busybox sh -c "cd /host && mount --move . / && exec chroot . /bin/sh -c 'cd $work && exec /bin/sh /tmp/cases/$1/run'" \
        <"/host/tmp/cases/$1/input" >"/stdout-$1" 2>"/stderr-$1" 3>&-
    echo $? >"/host/tmp/cases/$1/status"
    mv "/stdout-$1" "/host/tmp/cases/$1/stdout"
    mv "/stderr-$1" "/host/tmp/cases/$1/stderr"
    rm -rf "/host$work"
    echo "$1" >&3
}

# The port appears a moment after its driver.
until [ -c /dev/vport0p1 ]; do
    sleep 0.1
done
exec 3<>/dev/vport0p1
echo ready >&3
# Empty lines are only to interrupt.
while read -r number <&3; do
    if [ -n "$number" ]; then
        run_case "$number" &
    fi
done
# Whoever held the port's other end is gone.
poweroff -f
