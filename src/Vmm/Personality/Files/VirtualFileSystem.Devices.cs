using System.Text;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Memory;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Files;

// /dev: made by the VMM; the plan may add /dev/shm.
public sealed partial class VirtualFileSystem
{
    private const uint MemoryMajor = 1;
    private const uint TerminalMajor = 5;

    private void PlaceDevices(GuestMemory? memory, StorageBudget budget, IReadOnlyList<GuestFile> files)
    {
        SyntheticFileSystem devices = new(NewDevice(), "devtmpfs", TMPFS_MAGIC);
        PlaceMount("/dev"u8, devices, readOnly: true, "devtmpfs", new SyntheticDirectory(devices));
        PlaceDevice(devices, memory, "null", MemoryDevice.Null);
        PlaceDevice(devices, memory, "zero", MemoryDevice.Zero);
        PlaceDevice(devices, memory, "full", MemoryDevice.Full);
        PlaceDevice(devices, memory, "random", MemoryDevice.Random);
        PlaceDevice(devices, memory, "urandom", MemoryDevice.URandom);
        Place("/dev/tty"u8, _ => new TerminalNode(devices, makedev(TerminalMajor, 0), () => TerminalOpener));
        PlaceLink(devices, "/dev/fd", "/proc/self/fd");
        PlaceLink(devices, "/dev/stdin", "/proc/self/fd/0");
        PlaceLink(devices, "/dev/stdout", "/proc/self/fd/1");
        PlaceLink(devices, "/dev/stderr", "/proc/self/fd/2");

        SyntheticFileSystem terminals = new(NewDevice(), "devpts", DEVPTS_SUPER_MAGIC);
        PlaceMount("/dev/pts"u8, terminals, readOnly: false, "devpts", new PseudoTerminalDirectory(terminals, this));
        Place("/dev/pts/ptmx"u8, _ => new TerminalNode(
            terminals, makedev(TerminalMajor, 2), () => PseudoTerminalOpener));
        PlaceLink(devices, "/dev/ptmx", "pts/ptmx");

        if (!files.Any(static file => file.Path == "/dev/shm"))
        {
            TemporaryFileSystem shared = new(NewDevice(), memory, budget);
            PlaceMount("/dev/shm"u8, shared, readOnly: false, "tmpfs", shared.CreateRoot(0x3ff, default));
        }
    }

    private void PlaceDevice(SyntheticFileSystem devices, GuestMemory? memory, string name, MemoryDevice device) =>
        Place(Encoding.ASCII.GetBytes("/dev/" + name), _ => new MemoryDeviceInode(devices, device, memory)
        {
            SpecialDevice = makedev(MemoryMajor, (uint)device),
        });

    private void PlaceLink(SyntheticFileSystem tree, string path, string target) =>
        Place(Encoding.ASCII.GetBytes(path), _ => new SyntheticSymlink(tree, Encoding.ASCII.GetBytes(target)));
}
