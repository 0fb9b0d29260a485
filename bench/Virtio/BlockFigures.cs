using System.Diagnostics;
using Sandbox.Host;
using Sandbox.Vmm.Devices;
using Sandbox.Vmm.Devices.Block;
using Sandbox.Vmm.Tests.Kvm;
using Sandbox.Vmm.Tests.Virtio;
using static Sandbox.Host.VirtioAbi;

/// <summary>
/// Reads of 4 KiB from a disk whose thread makes plain calls, against one with an io_uring: one at a time out of the
/// host's page cache, as a driver at CPL 3 sees it, and 32 at once from where nothing is cached. Rounds alternate.
/// </summary>
static unsafe class BlockFigures
{
    private const ulong Heads = TestRam.LowStart + 0x4_0000, Answers = TestRam.LowStart + 0x5_0000;
    private const ulong Data = TestRam.LowStart + 0x6_0000;
    private const uint Bytes = 4096;
    private const int Depth = 32;
    private const long FileBytes = 256 << 20;

    public static void Print(int repeats, int rounds)
    {
        using Disk plain = new(hasRing: false), ring = new(hasRing: true);
        if (!ring.HasRing)
        {
            Console.Error.WriteLine("io_uring: this host has none for this process");
            return;
        }
        Compare("cached", rounds, plain, ring, disk => disk.ReadCached(repeats) / repeats);
        Compare("disk", rounds, plain, ring, disk => disk.ReadUncached() / Depth);
    }

    private static void Compare(string name, int rounds, Disk plain, Disk ring, Func<Disk, double> time)
    {
        double[] plainTimes = new double[rounds], ringTimes = new double[rounds], ratios = new double[rounds];
        for (int round = -1; round < rounds; round++)
        {
            double one = time(plain), other = time(ring);
            if (round >= 0)
                (plainTimes[round], ringTimes[round], ratios[round]) = (one, other, other / one);
        }
        Console.WriteLine($"{name}-plain={Median(plainTimes):f0}");
        Console.WriteLine($"{name}-ring={Median(ringTimes):f0}");
        Console.WriteLine($"{name}-ratio={Median(ratios):f2}");
    }

    private static double Median(double[] values) => values.Order().ElementAt(values.Length / 2);

    private sealed class Disk : IDisposable
    {
        private readonly TestRam _ram = new();
        private readonly FileDescriptor _file;
        private readonly TestDriver _driver;
        private readonly UserModeDriver _guest;
        private readonly Random _random = new(1);

        public Disk(bool hasRing)
        {
            string path = Path.GetTempFileName();
            _file = FileDescriptor.Open(path, Libc.O_RDWR);
            File.Delete(path);
            byte[] part = new byte[1 << 20];
            for (long at = 0; at < FileBytes; at += part.Length)
                if (_file.WriteAt(part, at) != part.Length)
                    throw new IOException("the disk's file cannot be written");
            BlockRing? ring = hasRing ? BlockRing.TryCreate(_file) : null;
            HasRing = ring is not null;
            _driver = new TestDriver(
                new BlockDevice(
                    _ram.Ram, new BlockOptions { File = _file.Duplicate(), Rings = ring is null ? [] : [ring] }),
                _ram);
            _driver.Start();
            _driver.Transport.Start();
            _guest = new UserModeDriver(FileDescriptor.Open("/dev/kvm", Libc.O_RDWR), _ram, _driver.Transport);
        }

        public bool HasRing { get; }

        private TestQueue Queue => _driver.Queues[0];

        /// <summary>Nanoseconds of so many reads of one place, each after the other's end.</summary>
        public double ReadCached(int repeats)
        {
            Place(0, 0, descriptor: 0);
            // Every place of the available ring names the first chain.
            for (uint i = 0; i < Queue.Size; i++)
                _ram.At<ushort>(Queue.Available + 4 + (2 * i)) = 0;
            return Time(() =>
                _guest.Repeat(repeats, VIRTIO_MMIO_QUEUE_NOTIFY, Queue.Available + 2, Queue.Used + 2).Run());
        }

        /// <summary>Nanoseconds of as many reads at once as a ring has places, all over the file.</summary>
        public double ReadUncached()
        {
            if (Libc.fdatasync(_file.Value) != 0)
                throw HostException.Last("fdatasync");
            int error = Libc.posix_fadvise(_file.Value, 0, 0, Libc.POSIX_FADV_DONTNEED);
            if (error != 0)
                throw new HostException(error, "posix_fadvise");
            ushort end = (ushort)(Queue.UsedIndex + Depth);
            for (int i = 0; i < Depth; i++)
            {
                Place(i, (ulong)_random.NextInt64(FileBytes / Bytes) * (Bytes / 512), descriptor: 3 * i);
                Queue.MakeAvailable((ushort)(3 * i));
            }
            return Time(() =>
            {
                _driver.Notify(0);
                while (Volatile.Read(ref Queue.UsedIndex) != end)
                    Thread.Sleep(0);
            });
        }

        private void Place(int number, ulong sector, int descriptor)
        {
            ulong head = Heads + (16 * (ulong)number);
            _ram.At<virtio_blk_outhdr>(head) = new virtio_blk_outhdr { type = VIRTIO_BLK_T_IN, sector = sector };
            Queue.Descriptor(descriptor) = TestQueue.Make(new Piece(head, 16), true, (ushort)(descriptor + 1));
            Queue.Descriptor(descriptor + 1) = TestQueue.Make(
                new Piece(Data + (Bytes * (ulong)number), Bytes, true), true, (ushort)(descriptor + 2));
            Queue.Descriptor(descriptor + 2) = TestQueue.Make(new Piece(Answers + (ulong)number, 1, true), false, 0);
        }

        private static double Time(Action work)
        {
            long start = Stopwatch.GetTimestamp();
            work();
            return Stopwatch.GetElapsedTime(start).TotalNanoseconds;
        }

        public void Dispose()
        {
            _guest.Dispose();
            _driver.Dispose();
            _file.Dispose();
            _ram.Dispose();
        }
    }
}
