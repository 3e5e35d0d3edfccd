#!/bin/sh
# boot_systemd.sh FOLDER CHECKOUT PYTHON LIBRARIES: boots this machine's systemd a second time, as PID 1 of namespaces of
# its own, over an overlay of / that lies in memory. It has a network of its own (lo only), its own processes and
# cgroups, hardly a device, and none of this machine's services. The last three folders stand in /opt/cluster-dash,
# read-only. SIGTERM ends all of it; nothing stays but FOLDER, empty. tests/systemd_host.py starts it, as root, by
# `unshare --mount --propagation private`.
set -eu
folder=$1
root=$folder/root

mount -t tmpfs -o mode=755,size=2g cluster-dash "$folder"
mkdir "$folder/upper" "$folder/work" "$root" "$folder/cgroup"
mount -t overlay -o "lowerdir=/,upperdir=$folder/upper,workdir=$folder/work" overlay "$root"
rm -rf "$root/opt/cluster-dash"
for name in checkout python libraries; do
    shift
    mkdir -p "$root/opt/cluster-dash/$name"
    mount --bind "$1" "$root/opt/cluster-dash/$name"
    mount -o remount,bind,ro "$root/opt/cluster-dash/$name"
done
mkdir -p "$root/etc/systemd/system"

# Of this machine's units only what a service needs: the journal and temporary files.
units=$root/usr/lib/systemd/system
mount -t tmpfs -o mode=755 tmpfs "$root/etc/systemd/system"
mount -t tmpfs -o mode=755 tmpfs "$root/usr/lib/systemd/system-generators"
for target in sysinit.target.wants sockets.target.wants multi-user.target.wants timers.target.wants; do
    [ ! -d "$units/$target" ] || mount -t tmpfs -o mode=755 tmpfs "$units/$target"
done
mkdir -p "$root/etc/systemd/system/sockets.target.wants"
for socket in systemd-journald.socket systemd-journald-dev-log.socket dbus.socket; do
    ln -s "/usr/lib/systemd/system/$socket" "$root/etc/systemd/system/sockets.target.wants/"
done
rm -rf "$root/etc/cluster-dash" "$root/var/lib/cluster-dash" "$root/var/lib/cluster-dash-mole" "$root/var/lib/private" \
    "$root/var/log/journal"
: > "$root/etc/fstab"
echo gpu01 > "$root/etc/hostname"

mount -t cgroup2 cgroup2 "$folder/cgroup"
group=$folder/cgroup/cluster-dash-$$
mkdir "$group"
end() {
    trap '' TERM INT
    echo 1 > "$group/cgroup.kill" 2>/dev/null || kill -KILL "$child" 2>/dev/null || true
    wait
    for _ in 1 2 3 4 5 6 7 8 9; do
        find "$group" -depth -type d -exec rmdir {} \; 2>/dev/null
        [ -d "$group" ] || return 0
        sleep 0.2
    done
}
trap end EXIT
trap 'exit 0' TERM INT

inside='
set -eu
mount -t proc proc "$0/proc"
mount -t sysfs -o ro sysfs "$0/sys"
mount -t cgroup2 cgroup2 "$0/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$0/run"
mount -t tmpfs -o mode=1777 tmpfs "$0/tmp"
mount -t tmpfs -o mode=755 tmpfs "$0/dev"
for device in null zero full random urandom tty fuse; do
    [ -e "/dev/$device" ] || continue
    : > "$0/dev/$device"
    mount --bind "/dev/$device" "$0/dev/$device"
done
mkdir "$0/dev/shm" "$0/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$0/dev/shm"
mount -t devpts -o newinstance,ptmxmode=666 devpts "$0/dev/pts"
ln -s pts/ptmx "$0/dev/ptmx"
ln -s /proc/self/fd "$0/dev/fd"
ip link set lo up
cd "$0"
mkdir -p .outside
pivot_root . .outside
umount -l /.outside
mount --make-rshared /
exec env -i container=cluster-dash PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin TERM=dumb \
    /usr/lib/systemd/systemd --unit=multi-user.target --show-status=0
'
# $$ within ( ) is the outer shell: the child moves itself.
setpriv --pdeathsig KILL sh -c 'echo $$ > "$1/cgroup.procs"; shift; exec "$@"' sh "$group" \
    unshare --pid --mount --uts --ipc --net --cgroup --fork --kill-child=KILL sh -c "$inside" "$root" </dev/null &
child=$!
wait "$child"
