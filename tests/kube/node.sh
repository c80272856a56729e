#!/bin/sh
# The first process of a node, in mount, network and process namespaces of its own: when it ends, the kernel ends all
# that runs in the node, and every mount and rule goes with it. The argument is the node's directory.
set -eu
home=$1

# What has a fixed place in containerd, the CNI plugins and the kubelet is the node's own.
mount --make-rshared /
for place in /run /var/lib /var/log; do
    mount -t tmpfs -o mode=755 tmpfs "$place"
done
mkdir -p /run/containerd /run/lock
echo 1 >/proc/sys/net/ipv4/ip_forward
touch "$home/born"

# The links come from outside.
until [ -e "$home/linked" ]; do sleep 0.02; done

containerd --config "$home/containerd.toml" >>"$home/containerd.log" 2>&1 &
until [ -S /run/containerd/containerd.sock ]; do sleep 0.02; done
. "$home/programs.sh"
wait
