#!/bin/sh
# The first process of a node, in mount, network and process namespaces of its own: when it ends, the kernel ends everything
# in the node, and every mount and rule goes with it. The argument is the node's directory; the programs are on PATH.
set -eu
home=$1

# What has a fixed place in containerd, runc, the CNI plugins and the kubelet is the node's own.
mount --make-rshared /
for place in /run /var/lib /var/log; do
    mount -t tmpfs -o mode=755 tmpfs "$place"
done
mkdir -p /run/containerd /run/lock /var/lib/kubelet /var/lib/cni
ln -sfn "$home/cni-state" /var/lib/cni/networks
mkdir -p "$home/cni-state"
echo 1 >/proc/sys/net/ipv4/ip_forward

# The links come from outside.
until [ -e "$home/linked" ]; do sleep 0.02; done

containerd --config "$home/containerd.toml" >>"$home/containerd.log" 2>&1 &
until [ -S /run/containerd/containerd.sock ]; do sleep 0.02; done
. "$home/programs.sh"
wait
