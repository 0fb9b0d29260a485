using Sandbox.Vmm.Memory;
using static Sandbox.Host.Libc;
using Op = Sandbox.Fuzz.Targets.MemoryOperation.Op;

namespace Sandbox.Fuzz.Targets;

/// <summary>
/// Guest memory: mmap(2) and its family, forks, faults and accesses, against a model that keeps a page at a time.
/// Every answer and every byte must be the model's; what a processor may still remember of old page tables must never
/// lead to another page; in the end every page has been given back.
/// </summary>
/// <remarks>Input: one byte of options, then <see cref="MemoryOperation"/>s.</remarks>
sealed class MemoryTarget : FuzzTarget
{
    private const ulong AmpleBytes = 64 << 20;
    private const ulong TightBytes = 2560 << 10;
    private const int MaximumOperations = 120;
    private const int HeaderLength = MemoryOperation.Length;

    private readonly MemoryObjects.HostFiles _hostFiles = new();
    private readonly Machine?[] _machines = new Machine?[2];

    /// <summary>Guest memory that is used again for each input, and how full it is between two.</summary>
    private sealed unsafe class Machine : IMemorySlots
    {
        private readonly long _unused;

        public Machine(ulong bytes)
        {
            Memory = new GuestMemory(bytes, this);
            _unused = Memory.Pool.UsedPages;
        }

        public GuestMemory Memory { get; }

        public MemorySession? Session { get; set; }

        public void Add(PhysicalAddress start, byte* host, ulong bytes)
        {
        }

        public void ForgetTranslations() => Session?.ForgetTranslations();

        public void CheckUnused() =>
            OracleException.Check(Memory.Pool.UsedPages == _unused,
                $"{Memory.Pool.UsedPages - _unused} pages were not given back");
    }

    public override string Name => "memory";

    public override string Summary => "mmap and its family, forks and faults, compared with a model, page by page";

    public override int MaximumLength => HeaderLength + (MaximumOperations * MemoryOperation.Length);

    public override int RecordLength => MemoryOperation.Length;

    public override long AllocationLimit => 64 << 20;

    public override bool Run(ReadOnlySpan<byte> input)
    {
        InputReader reader = new(input);
        byte options = reader.Byte();
        reader.Bytes(HeaderLength - 1);
        bool isTight = (options & 1) != 0;
        int processors = 1 + ((options >> 1) & 1);
        ref Machine? slot = ref _machines[options & 1];
        Machine machine = slot ?? new Machine(isTight ? TightBytes : AmpleBytes);
        // If anything goes wrong, the next input starts with another.
        slot = null;
        MemoryObjects objects = new(machine.Memory, _hostFiles);
        MemorySession session = machine.Session = new MemorySession(machine.Memory, objects, isTight, processors);
        session.Start();
        int operations = 0;
        while (!reader.IsAtEnd && operations++ < MaximumOperations)
            session.Execute(MemoryOperation.Decode(ref reader));
        session.Finish();
        objects.Dispose();
        machine.Session = null;
        machine.CheckUnused();
        slot = machine;
        return operations > 0;
    }

    private const byte Fixed = 1 << 3, NoReplace = 2 << 3, Anywhere = 3 << 3, Shared = 0x20, Populate = 0x40,
        GrowsDown = 0x80;
    private const byte Load = 0, Store = 0x80, Fetch = 0xc0;

    private static byte[] Script(byte options, params (Op Kind, int Space, int Object, int First, int Count, int Second,
        int Detail)[] script)
    {
        List<byte> bytes = [options, .. new byte[HeaderLength - 1]];
        foreach (var (kind, space, number, first, count, second, detail) in script)
            bytes.AddRange([(byte)kind, (byte)(space | number << 3), (byte)first, (byte)(first >> 8), (byte)count,
                (byte)second, (byte)(second >> 8), (byte)detail]);
        return [.. bytes];
    }

    public override IEnumerable<(string Name, byte[] Input)> Seeds()
    {
        // Counts from 64 on are sixteens of pages: 92 is 512 pages, a large one.
        const int largePage = 92, twoLargePages = 124;
        yield return ("anonymous", Script(0,
            (Op.Map, 0, 0, 0x100, 20, 0, 3 | Fixed), (Op.Write, 0, 0, 0x100, 30, 1, 0x55), (Op.Run, 0, 0, 0x103, 1, 0,
            Store | 7),
            (Op.Protect, 0, 0, 0x102, 4, 0, 1), (Op.Run, 0, 0, 0x103, 1, 0, Store), (Op.Unmap, 0, 0, 0x101, 2, 0, 0),
            (Op.Run, 0, 0, 0x101, 1, 0, Load), (Op.Map, 0, 0, 0x101, 2, 0, 3 | NoReplace), (Op.Read, 0, 0, 0x100, 20, 0,
            0),
            (Op.Map, 0, 0, 0, 8, 0, 7 | Anywhere | Populate), (Op.Protect, 0, 0, 0x100, 20, 0, 0), (Op.Protect, 0, 0,
            0x100, 20, 0, 3)));
        yield return ("large", Script(0,
            (Op.Map, 0, 0, 0x200, twoLargePages, 0, 3 | Fixed), (Op.Walk, 0, 0, 0x200, largePage, 0, Store | 5),
            (Op.Walk, 0, 0, 0x400, largePage, 0, Store | 9), (Op.Protect, 0, 0, 0x410, 3, 0, 1), (Op.Run, 0, 0, 0x411,
            1, 0, Store),
            (Op.Advise, 0, 0, 0x480, 40, 0, 0), (Op.Fork, 0, 0, 0, 0, 0, 0), (Op.Run, 1, 0, 0x420, 1, 0, Store | 3),
            (Op.Run, 0, 0, 0x420, 1, 0, Load), (Op.Remap, 0, 0, 0x400, largePage, 0x040, 3), (Op.Unmap, 1, 0, 0x3f0,
            largePage, 0, 0)));
        yield return ("fork", Script(2,
            (Op.Map, 0, 0, 0x100, 8, 0, 3 | Fixed), (Op.Map, 0, 0, 0x120, 8, 0, 3 | Fixed | Shared),
            (Op.Write, 0, 0, 0x100, 16, 0, 1), (Op.Write, 0, 0, 0x120, 16, 0, 2), (Op.Advise, 0, 0, 0x104, 2, 0, 3),
            (Op.Advise, 0, 0, 0x106, 1, 0, 5), (Op.Fork, 0, 0, 0, 0, 0, 0), (Op.Run, 0, 0, 0x100, 1, 0, Store | 8),
            (Op.Run, 1, 0, 0x100, 1, 1, Store | 9), (Op.Run, 1, 0, 0x121, 1, 1, Store | 9), (Op.Read, 0, 0, 0x100, 40,
            0, 0),
            (Op.Read, 1, 0, 0x100, 40, 0, 0), (Op.Futex, 0, 0, 0x121, 0, 0x121, 0), (Op.End, 0, 0, 0, 0, 0, 0), (Op.Run,
            0, 0, 0x101, 1, 0, Store)));
        yield return ("objects", Script(0,
            (Op.WriteObject, 0, 1, 0, 40, 2, 0x11), (Op.Map, 0, 1, 0x100, 30, 2, 3 | Fixed | Shared), (Op.Map, 0, 1,
            0x140, 30, 0, 3 | Fixed),
            (Op.Write, 0, 0, 0x101, 9, 0, 0x22), (Op.Write, 0, 0, 0x144, 9, 0, 0x33), (Op.ReadObject, 0, 1, 0, 40, 0,
            0),
            (Op.PunchObject, 0, 1, 0, 9, 10, 0), (Op.ResizeObject, 0, 1, 0, 0, 25, 0), (Op.Read, 0, 0, 0x100, 80, 0, 0),
            (Op.ResizeObject, 0, 1, 0, 0, 200, 0), (Op.Read, 0, 0, 0x140, 30, 0, 0), (Op.Advise, 0, 0, 0x101, 5, 0,
            2)));
        yield return ("host-files", Script(0,
            (Op.Map, 0, 4, 0x100, 30, 3, 3 | Fixed), (Op.Map, 0, 4, 0x140, 30, 5, 1 | Anywhere | Shared), (Op.Map, 0, 5,
            0x180, 30, 0, 3 | Fixed | Shared),
            (Op.Write, 0, 0, 0x101, 9, 0, 0x22), (Op.Write, 0, 0, 0x184, 9, 0, 0x33), (Op.Protect, 0, 0, 0x180, 8, 0,
            1),
            (Op.Run, 0, 0, 0x185, 1, 0, Store), (Op.Fork, 0, 0, 0, 0, 0, 0), (Op.Run, 1, 0, 0x102, 1, 0, Store),
            (Op.Read, 0, 0, 0x100, 40, 0, 0)));
        yield return ("moves", Script(0,
            (Op.Map, 0, 0, 0x100, 8, 0, 3 | Fixed), (Op.Write, 0, 0, 0x100, 32, 0, 1), (Op.Remap, 0, 0, 0x100, 8, 0,
            4 << 3),
            (Op.Map, 0, 0, 0x10c, 1, 0, 1 | Fixed), (Op.Remap, 0, 0, 0x100, 12, 0, 1 | 4 << 3), (Op.Remap, 0, 0, 0x600,
            4, 0x300, 3),
            (Op.Map, 0, 0, 0x200, 8, 0, 3 | Fixed), (Op.Write, 0, 0, 0x200, 8, 0, 5), (Op.Remap, 0, 0, 0x200, 8, 0x240,
            7), (Op.Read, 0, 0, 0x200, 8, 0, 0),
            (Op.Read, 0, 0, 0x240, 8, 0, 0), (Op.Remap, 0, 0, 0x240, 8, 0, 18 << 3)));
        yield return ("stack-and-heap", Script(0,
            (Op.Map, 0, 0, 0x400, 4, 0, 3 | Fixed | GrowsDown), (Op.Run, 0, 0, 0x3f0, 1, 0, Store | 3), (Op.Write, 0, 0,
            0x3e8, 4, 0, 3),
            (Op.Map, 0, 0, 0x2c0, 4, 0, 3 | Fixed), (Op.Run, 0, 0, 0x2d0, 1, 0, Load), (Op.Break, 0, 0, 0x40, 0, 0, 0),
            (Op.Break, 0, 0, 0x50, 0, 0, 8), (Op.Write, 0, 0, 0x48, 8, 0, 8), (Op.Break, 0, 0, 0x44, 0, 0, 0),
            (Op.Break, 0, 0, 0x4c, 0, 0, 0),
            (Op.Read, 0, 0, 0x40, 12, 0, 0), (Op.Run, 0, 0, 0x41, 1, 0, Fetch)));
        yield return ("tight", Script(1,
            (Op.Map, 0, 0, 0x200, largePage, 0, 3 | Fixed), (Op.Walk, 0, 0, 0x200, largePage, 0, Store | 5), (Op.Fork,
            0, 0, 0, 0, 0, 0),
            (Op.Walk, 1, 0, 0x200, 66, 0, Store | 9), (Op.Walk, 0, 0, 0x200, largePage, 0, Store | 7), (Op.Remap, 0, 0,
            0x200, 80, 0x040, 3),
            (Op.Map, 0, 0, 0x240, 8, 0, 3 | Fixed), (Op.Unmap, 1, 0, 0x3f0, largePage, 0, 0)));
    }
}
