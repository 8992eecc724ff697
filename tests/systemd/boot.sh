#!/bin/bash
# Boots systemd as PID 1 over an overlay of /, in namespaces of its own: nothing that it does reaches the machine below.
# To be run by `unshare --mount --pid --fork --cgroup --ipc --uts --net --propagation private`, as root.
#
#   boot.sh BASE PYTHON DEPS WHEEL
#
# BASE    an empty directory to mount everything on
# PYTHON  the prefix of a Python; the machine has it in /opt/python
# DEPS    the site-packages with what hookd needs; the machine has them in /opt/deps
# WHEEL   hookd; the machine has it installed in /opt/hookd
set -euo pipefail
base=$1 python=$2 deps=$3 wheel=$4

# Root first: from here on no mount can reach the machine below, whatever the caller did.
mount --make-rprivate /
mount -t tmpfs -o size=2G,mode=755 tmpfs "$base"
mkdir "$base"/{upper,work,root}
mount -t overlay overlay -o "lowerdir=/,upperdir=$base/upper,workdir=$base/work" "$base/root"
mkdir -p "$base"/root/opt/{python,deps}
cp "$wheel" "$base/root/opt/"
mount --bind "$python" "$base/root/opt/python"
mount --bind "$deps" "$base/root/opt/deps"
cd "$base/root"

mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys           # or systemd-sysctl would set what all machines share
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp       # or the /tmp below would be cleaned
mount -t tmpfs -o mode=755 tmpfs dev
for node in null zero full random urandom tty; do
    touch "dev/$node"
    mount --bind "/dev/$node" "dev/$node"
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
mount -t tmpfs tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount -t tmpfs -o mode=755 tmpfs etc/systemd/system      # nothing that is enabled below runs here

# Modules and file systems are those of the machine below.
for unit in systemd-modules-load.service modprobe@.service systemd-remount-fs.service; do
    ln -s /dev/null "etc/systemd/system/$unit"
done

mkdir -p oldroot
pivot_root . oldroot
cd /
umount -l /oldroot
rmdir /oldroot
mount --make-rshared /      # among the services of this machine; systemd expects it of whoever makes a container

# A machine that has booted before: at the first boot systemd enables whatever its presets name.
systemd-id128 new > /etc/machine-id
hostname hookd-test
ip link set lo up
printf '127.0.0.1 localhost\n' > /etc/hosts
rm -f /etc/resolv.conf
printf 'nameserver 127.0.0.53\noptions timeout:1 attempts:2\n' > /etc/resolv.conf
printf 'passwd: files\ngroup: files\nhosts: files dns\n' > /etc/nsswitch.conf
printf '[Unit]\nRequires=basic.target\nAfter=basic.target\nAllowIsolate=yes\n' > /etc/systemd/system/test.target

# A Python with a library of its own looks for it where it was built, which may be somebody's home.
echo /opt/python/lib > /etc/ld.so.conf.d/000-python.conf
ldconfig

# hookd from its wheel; what it needs from where the tests have it.
/opt/python/bin/python3 -m venv --without-pip /opt/hookd
for site in /opt/hookd/lib/python3.*/site-packages; do echo /opt/deps > "$site/deps.pth"; done
/opt/hookd/bin/python -m pip install -q --disable-pip-version-check --root-user-action=ignore --no-index --no-deps \
    --ignore-installed "/opt/${wheel##*/}"

exec env -i container=hookd-test PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
    /lib/systemd/systemd --system --unit=test.target --log-target=journal --show-status=no
