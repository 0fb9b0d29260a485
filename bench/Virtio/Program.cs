using System.Diagnostics;
using Sandbox.Host;
using Sandbox.Vmm.Devices;
using Sandbox.Vmm.Devices.Rng;
using Sandbox.Vmm.Tests.Kvm;
using Sandbox.Vmm.Tests.Virtio;
using Sandbox.Vmm.Virtio;
using static Sandbox.Host.VirtioAbi;

// One notification and one completion, as a driver at CPL 3 sees them, against the bare exit that a notification is:
// the same store, to a device that does nothing. Rounds of both alternate, since hosts change; the median ratio counts.
// Prints name=value lines, times in nanoseconds.
const int repeats = 5_000;
const int rounds = 15;

using TestRam ram = new();
using TestDriver driver = new(new RngDevice(ram.Ram, RateLimit.None), ram);
using UserModeDriver guest = new(FileDescriptor.Open("/dev/kvm", Libc.O_RDWR), ram, driver.Transport);
using TestRam idleRam = new();
using UserModeDriver idle = new(FileDescriptor.Open("/dev/kvm", Libc.O_RDWR), idleRam, new Nothing());

driver.Start();
driver.Transport.Start();
TestQueue queue = driver.Queues[0];
queue.Descriptor(0) = TestQueue.Make(new Piece(TestRam.LowStart + 0x8_0000, 8, true), false, 0);

double[] exits = new double[rounds], requests = new double[rounds], ratios = new double[rounds];
for (int round = -1; round < rounds; round++)
{
    double exit = Time(() => idle.RepeatStore(repeats, VIRTIO_MMIO_QUEUE_NOTIFY).Run());
    double request = Time(() =>
        guest.Repeat(repeats, VIRTIO_MMIO_QUEUE_NOTIFY, queue.Available + 2, queue.Used + 2).Run());
    if (round >= 0)
        (exits[round], requests[round], ratios[round]) = (exit, request, request / exit);
}
if (driver.NeedsReset || queue.UsedIndex != unchecked((ushort)((rounds + 1) * repeats)))
    throw new InvalidOperationException("requests were lost");
Console.WriteLine($"exit={Median(exits):f0}");
Console.WriteLine($"request={Median(requests):f0}");
Console.WriteLine($"ratio={Median(ratios):f2}");
BlockFigures.Print(repeats, rounds);
return 0;

static double Time(Action work)
{
    long start = Stopwatch.GetTimestamp();
    work();
    return Stopwatch.GetElapsedTime(start).TotalNanoseconds / repeats;
}

static double Median(double[] values) => values.Order().ElementAt(values.Length / 2);

sealed class Nothing : IBusDevice
{
    public void Read(ulong offset, Span<byte> data) => data.Clear();

    public void Write(ulong offset, ReadOnlySpan<byte> data)
    {
    }
}
