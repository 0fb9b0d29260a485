#!/usr/bin/env bash
# image.sh FOLDER: makes FOLDER/vmlinuz and FOLDER/initramfs, what a lab host boots from: this Debian's kernel.
# image.sh FOLDER recent: the same two in FOLDER/recent, with Linux 6.12 or newer.
# image.sh FOLDER cloud: makes FOLDER/cloud, Debian's cloud kernel of Linux 6.12 or newer, unpacked, for guests.
#
# The kernel is Debian's own, unpacked instead of installed: installing a kernel makes it the one that this machine
# boots next. It is the general kernel, not the cloud kernel, which has no 9p: with 9p the lab host's files are this
# machine's, and nothing needs to be copied into an image.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=$1
wanted=(virtio_pci virtio_console 9p 9pnet_virtio kvm-amd tun brd virtio_blk virtio_net crc32c_generic ext4)

die() { echo "$*" >&2; exit 1; }

# recent_kernel FLAVOUR: the package of Linux 6.12: of Debian 12 one that names its version; of later ones the usual one.
recent_kernel() {
    local meta=linux-image-6.12-$1
    apt-cache depends "$meta" 2>/dev/null | grep -q Depends: || meta=linux-image-$1
    echo "$meta"
}

# fetch_kernel META TARGET PATTERN...: what of the newest kernel's package matches, in $folder/TARGET.
fetch_kernel() {
    local meta=$1 target=$folder/$2 package new=$folder/$2.new
    shift 2
    package=$(apt-cache depends "$meta" 2>/dev/null | sed -n 's/^ *Depends: \(linux-image-[0-9][^ ]*\)$/\1/p' | head -n 1)
    [[ -n $package ]] || die "apt does not know the package $meta; apt-get update may help"
    rm -rf "$new"
    mkdir -p "$new"
    (cd "$new" && apt-get download "$package" >apt.log 2>&1) \
        || die "downloading $package failed: $(tail -n 1 "$new/apt.log")"
    dpkg-deb --fsys-tarfile "$new"/*.deb | tar -x -C "$new" --wildcards "$@"
    rm "$new"/*.deb
    rm -rf "$target"
    mv "$new" "$target"
}

# find_module NAME: its file, or nothing.
find_module() { find "$kernel" -name "${1//[-_]/?}.ko*" -print -quit; }

# add_module NAME: the module behind all that it depends on, in $root/modules, and its name in $root/modules/order.
add_module() {
    local name=$1 file dependency target=$root/modules/$1.ko
    [[ ! -e $target ]] || return 0
    file=$(find_module "$name")
    if [[ -z $file ]]; then
        grep -q "/${name//[-_]/[-_]}\.ko$" "$kernel"/lib/modules/*/modules.builtin || die "the kernel has no module $name"
        return 0
    fi
    case $file in
    *.xz) xz -dc "$file" >"$target" ;;
    *) cp "$file" "$target" ;;
    esac
    while read -r dependency; do
        [[ -z $dependency ]] || add_module "$dependency"
    done < <(tr '\0' '\n' <"$target" | sed -n 's/^depends=//p' | tr ',' '\n')
    echo "$name" >>"$root/modules/order"
}

mkdir -p "$folder"
if [[ ${2-} == cloud ]]; then
    compgen -G "$folder/cloud/boot/vmlinuz-*" >/dev/null && exit 0
    fetch_kernel "$(recent_kernel cloud-amd64)" cloud './boot/vmlinuz-*' './lib/modules/*'
    exit 0
fi
meta=linux-image-amd64 image=$folder
if [[ ${2-} == recent ]]; then
    meta=$(recent_kernel amd64) image=$folder/recent
fi
kernel=$image/kernel
mkdir -p "$image"
compgen -G "$kernel/lib/modules/*/modules.builtin" >/dev/null \
    || fetch_kernel "$meta" "${kernel#"$folder/"}" './boot/vmlinuz-*' '*/kernel/arch/x86/*' '*/kernel/crypto/*' \
        '*/kernel/drivers/block/*' '*/kernel/drivers/char/*' '*/kernel/drivers/crypto/*' '*/kernel/drivers/net/tun.ko*' \
        '*/kernel/drivers/net/virtio_net.ko*' '*/kernel/drivers/net/net_failover.ko*' '*/net/ethernet/intel/e1000/*' \
        '*/net/ethernet/realtek/8139cp.ko*' '*/kernel/drivers/net/mii.ko*' '*/kernel/drivers/virtio/*' \
        '*/kernel/fs/*' '*/kernel/lib/*' '*/kernel/net/9p/*' '*/kernel/net/core/failover.ko*' '*/kernel/net/vmw_vsock/*' \
        '*/kernel/virt/*' '*/modules.builtin'
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir "$root"/{bin,dev,host,modules,proc,sys}
cp /bin/busybox "$root/bin/"
install -m 755 "$here/init.sh" "$root/init"
for module in "${wanted[@]}"; do
    add_module "$module"
done
cp "$kernel"/boot/vmlinuz-* "$image/vmlinuz"
(cd "$root" && find . | busybox cpio -o -H newc) >"$image/initramfs"
