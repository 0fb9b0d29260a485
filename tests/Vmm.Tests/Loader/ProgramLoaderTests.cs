using System.Text;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality;
using Sandbox.Vmm.Personality.Files;
using Sandbox.Vmm.Personality.Ipc;
using Sandbox.Vmm.Personality.Loader;
using Sandbox.Vmm.Tests.Memory;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Tests.Loader;

/// <summary>Whole loads into guest memory that no processor runs.</summary>
public sealed class ProgramLoaderTests : IDisposable
{
    private sealed class MemoryFile : OpenFile
    {
        private readonly PagedObject _content;

        public MemoryFile(GuestMemory memory, string name, byte[] bytes)
            : base(O_RDONLY)
        {
            DisplayName = name;
            _content = memory.CreateObject(name, 1, 2, null);
            Assert.Equal(bytes.Length, Math.Max(0, bytes.Length == 0 ? 0 : _content.Write(0, bytes)));
        }

        public override string DisplayName { get; }

        public bool IsClosed { get; private set; }

        public override IMappable? Mappable => _content;

        public override long ReadAt(Span<byte> buffer, long offset) => _content.Read(offset, buffer);

        public override long GetStatus(out stat status)
        {
            status = new stat { st_size = _content.Length };
            return 0;
        }

        protected override void Close()
        {
            IsClosed = true;
            _content.Release();
        }
    }

    /// <summary>A flat directory of files that counts what is open.</summary>
    private sealed class Directory(GuestMemory memory) : IExecutableOpener
    {
        private readonly Dictionary<string, byte[]> _files = [];
        private readonly List<MemoryFile> _opened = [];

        public int OpenCount => _opened.Count(f => !f.IsClosed);

        public void Add(string path, byte[] content) => _files[path] = content;

        public long OpenExecutable(ReadOnlySpan<byte> path, out OpenFile? file)
        {
            file = null;
            if (!_files.TryGetValue(Encoding.UTF8.GetString(path), out byte[]? content))
                return -ENOENT;
            MemoryFile opened = new(memory, Encoding.UTF8.GetString(path), content);
            _opened.Add(opened);
            file = opened;
            return 0;
        }
    }

    /// <summary>Opens what the directory has when it is let.</summary>
    private sealed class HeldUp(Directory directory, ManualResetEventSlim arrived, ManualResetEventSlim goOn)
        : IExecutableOpener
    {
        public long OpenExecutable(ReadOnlySpan<byte> path, out OpenFile? file)
        {
            arrived.Set();
            goOn.Wait();
            return directory.OpenExecutable(path, out file);
        }
    }

    private readonly GuestMemory _memory = new(64 << 20, new NoSlots());
    private readonly Vdso _vdso;
    private readonly Directory _directory;

    public ProgramLoaderTests()
    {
        _vdso = Vdso.Create(_memory)!;
        _directory = new Directory(_memory);
    }

    public void Dispose() => _memory.Dispose();

    private static ArgumentList List(params string[] strings)
    {
        ArgumentList list = new();
        foreach (string value in strings)
            Assert.Equal(0, list.Add(Encoding.UTF8.GetBytes(value)));
        return list;
    }

    private long Load(
        string path, ArgumentList arguments, out LoadedProgram? program, out ExecFailure reason,
        ArgumentList? environment = null, ulong seed = 1, ulong stackLimit = 8 << 20, bool fixedLayout = false,
        IExecutableOpener? opener = null)
    {
        Assert.Equal(0, _directory.OpenExecutable(Encoding.UTF8.GetBytes(path), out OpenFile? file));
        ProgramLoader loader = new(_memory, _vdso, new LoaderOptions { Seed = seed });
        LoadRequest request = new()
        {
            File = file!,
            Path = Encoding.UTF8.GetBytes(path),
            Arguments = arguments,
            Environment = environment ?? List(),
            Credentials = Credentials.Of(1000, 1000),
            StackLimit = stackLimit,
            FixedLayout = fixedLayout,
        };
        long result = loader.Load(request, opener ?? _directory, out program, out reason);
        file!.Release();
        return result;
    }

    /// <summary>Loads and expects failure, with nothing left of it.</summary>
    private void Fails(string path, int errno, ExecFailure expected, ArgumentList? arguments = null)
    {
        ulong used = _memory.UsedBytes;
        int open = _directory.OpenCount;
        Assert.Equal(-errno, Load(path, arguments ?? List(path), out LoadedProgram? program, out ExecFailure reason));
        Assert.Null(program);
        Assert.Equal(expected, reason);
        Assert.Equal(used, _memory.UsedBytes);
        Assert.Equal(open, _directory.OpenCount);
    }

    private static byte[] Read(LoadedProgram program, ulong address, int length)
    {
        byte[] bytes = new byte[length];
        Assert.True(program.Memory.TryRead(new VirtualAddress(address), bytes));
        return bytes;
    }

    private static ulong Word(LoadedProgram program, ulong address) => BitConverter.ToUInt64(Read(program, address, 8));

    private static string Text(LoadedProgram program, ulong address)
    {
        byte[] buffer = new byte[4096];
        int length = program.Memory.ReadString(new VirtualAddress(address), buffer);
        Assert.True(length >= 0);
        return Encoding.UTF8.GetString(buffer, 0, length);
    }

    private static string[] Arguments(LoadedProgram program)
    {
        ulong count = Word(program, program.StackPointer);
        return [.. Enumerable.Range(1, (int)count).Select(i => Text(program, Word(program, program.StackPointer + (ulong)i * 8)))];
    }

    private static ulong Auxiliary(LoadedProgram program, int type)
    {
        for (int i = 0; i < program.AuxiliaryVector.Length; i += 16)
            if (BitConverter.ToUInt64(program.AuxiliaryVector, i) == (ulong)type)
                return BitConverter.ToUInt64(program.AuxiliaryVector, i + 8);
        throw new InvalidOperationException($"no AT {type}");
    }

    [Fact]
    public void AFixedImageIsMappedWithZeroedBss()
    {
        byte[] image = ElfBuilder.Fixed().Build();
        image.AsSpan(0x2100).Fill(0xaa);
        image[0x100] = 0xf4;
        _directory.Add("/prog", image);
        ulong used = _memory.UsedBytes;
        Assert.Equal(0, Load("/prog", List("prog", "x"), out LoadedProgram? program, out ExecFailure reason, List("A=b")));
        Assert.Equal(ExecFailure.None, reason);
        Assert.Equal(0x40_0100ul, program!.EntryPoint);
        Assert.Equal(0xf4, Read(program, 0x40_0100, 1)[0]);
        // Initialised data, then zeros to the end of its page although the file goes on, then anonymous pages.
        Assert.All(Read(program, 0x40_2100, 0x300), b => Assert.Equal(0xaa, b));
        Assert.All(Read(program, 0x40_2400, 0x1d00), b => Assert.Equal(0, b));
        Assert.False(program.Memory.TryRead(new VirtualAddress(0x40_5000), out byte _));
        Assert.False(program.Memory.TryWrite(new VirtualAddress(0x40_0000), (byte)1));
        Assert.True(program.Memory.TryWrite(new VirtualAddress(0x40_40ff), (byte)1));
        Assert.Equal(["prog", "x"], Arguments(program));
        Assert.Equal("/prog", Text(program, Auxiliary(program, AT_EXECFN)));
        Assert.Equal(0ul, Auxiliary(program, AT_BASE));
        Assert.Equal(0x40_0040ul, Auxiliary(program, AT_PHDR));
        Assert.Equal(1000ul, Auxiliary(program, AT_UID));
        Assert.Equal("prog"u8, program.CommandName);
        Assert.Equal("prog\0x\0"u8, Read(program, program.ArgumentsStart, 7));
        Assert.Equal("A=b\0"u8, Read(program, program.EnvironmentStart, 4));
        // brk starts behind the image.
        Assert.InRange(program.BreakStart, 0x40_5000ul, 0x40_5000ul + (32 << 20));
        Assert.Equal(program.BreakStart, program.Memory.SetBreak(0));
        // The vDSO is there, read-only, with its data page below.
        Assert.Equal(VdsoBytes.Bytes, Read(program, Auxiliary(program, AT_SYSINFO_EHDR), VdsoBytes.Bytes.Length));
        Assert.Equal(4096, Read(program, program.VdsoAddress - 4096, 4096).Length);
        Assert.False(program.Memory.TryWrite(new VirtualAddress(program.VdsoAddress - 4096), (byte)1));
        Assert.Equal(1, _directory.OpenCount);
        program.Discard();
        Assert.Equal(0, _directory.OpenCount);
        Assert.Equal(used, _memory.UsedBytes);
    }

    [Fact]
    public void ChangesOfTheProgramDoNotReachTheFileOrAnotherLoad()
    {
        _directory.Add("/prog", ElfBuilder.Fixed().Build());
        Assert.Equal(0, Load("/prog", List("a"), out LoadedProgram? first, out _));
        Assert.True(first!.Memory.TryWrite(new VirtualAddress(0x40_2100), (byte)7));
        Assert.Equal(0, Load("/prog", List("a"), out LoadedProgram? second, out _));
        Assert.Equal(0, Read(second!, 0x40_2100, 1)[0]);
        first.Discard();
        second!.Discard();
    }

    [Fact]
    public void UpdatesOfTheDataPageArrive()
    {
        _directory.Add("/prog", ElfBuilder.Fixed().Build());
        Assert.Equal(0, Load("/prog", List("a"), out LoadedProgram? program, out _));
        ulong page = program!.VdsoAddress - VvarLayout.DistanceToImage;
        uint before = BitConverter.ToUInt32(Read(program, page, 4));
        _vdso.Page.SetTimes(new VvarTimes { UseTsc = true, CycleLast = 0x1234 });
        Assert.Equal(before + 2, BitConverter.ToUInt32(Read(program, page, 4)));
        Assert.Equal(0x1234ul, Word(program, page + VvarLayout.CycleLast));
        program.Discard();
    }

    [Fact]
    public void APositionIndependentProgramRunsItsInterpreterFirst()
    {
        _directory.Add("/ld.so", ElfBuilder.PositionIndependent().Build());
        byte[] image = ElfBuilder.PositionIndependent("/ld.so").With(e => e.Headers[1].Align = 1 << 21).Build();
        _directory.Add("/prog", image);
        Assert.Equal(0, Load("/prog", List("prog"), out LoadedProgram? program, out _));
        ulong interpreter = Auxiliary(program!, AT_BASE), entry = Auxiliary(program!, AT_ENTRY);
        Assert.Equal(interpreter + 0x100, program!.EntryPoint);
        Assert.Equal(0ul, (entry - 0x100) % (1 << 21));
        Assert.Equal(entry - 0x100 + 64, Auxiliary(program, AT_PHDR));
        Assert.Equal((byte)'E', Read(program, interpreter + 1, 1)[0]);
        Assert.True(interpreter > entry && interpreter < program.VdsoAddress && program.VdsoAddress < program.StackPointer);
        Assert.Equal("/prog", program.Executable.DisplayName);
        Assert.True(program.BreakStart > entry && program.BreakStart < interpreter);
        program.Discard();
        Assert.Equal(0, _directory.OpenCount);
    }

    [Fact]
    public void AStaticPositionIndependentProgramLeavesRoomForItsHeap()
    {
        _directory.Add("/prog", ElfBuilder.PositionIndependent().Build());
        Assert.Equal(0, Load("/prog", List("prog"), out LoadedProgram? program, out _));
        Assert.Equal(0ul, Auxiliary(program!, AT_BASE));
        Assert.True(program!.BreakStart < program.EntryPoint - (1UL << 32));
        Assert.Equal(program.BreakStart + 0x10_0000, program.Memory.SetBreak(program.BreakStart + 0x10_0000));
        program.Discard();
    }

    [Fact]
    public void AddressesDifferBySeedAndOnlyBySeed()
    {
        _directory.Add("/prog", ElfBuilder.PositionIndependent().Build());
        (ulong, ulong, ulong, ulong) shape(ulong seed)
        {
            Assert.Equal(0, Load("/prog", List("prog"), out LoadedProgram? p, out _, seed: seed));
            var result = (p!.EntryPoint, p.StackPointer, p.BreakStart, p.VdsoAddress);
            p.Discard();
            return result;
        }
        Assert.Equal(shape(5), shape(5));
        var (entry, stack, heap, vdso) = shape(6);
        var other = shape(7);
        Assert.NotEqual(entry, other.Item1);
        Assert.NotEqual(stack, other.Item2);
        Assert.NotEqual(heap, other.Item3);
        Assert.NotEqual(vdso, other.Item4);
    }

    [Fact]
    public void AFixedLayoutIsLinuxsWithoutRandomness()
    {
        _directory.Add("/ld.so", ElfBuilder.PositionIndependent().Build());
        _directory.Add("/prog", ElfBuilder.PositionIndependent("/ld.so").Build());
        Assert.Equal(0, Load("/prog", List("prog"), out LoadedProgram? first, out _, seed: 1, fixedLayout: true));
        Assert.Equal(0, Load("/prog", List("prog"), out LoadedProgram? second, out _, seed: 2, fixedLayout: true));
        Assert.Equal(0x5555_5555_4000ul + 0x100, Auxiliary(first!, AT_ENTRY));
        Assert.Equal(AddressLayout.UserEnd, first!.StackTop);
        Assert.Equal(
            (first.EntryPoint, first.StackPointer, first.BreakStart), (second!.EntryPoint, second.StackPointer, second.BreakStart));
        Assert.NotEqual(Word(first, Auxiliary(first, AT_RANDOM)), Word(second, Auxiliary(second, AT_RANDOM)));
        first.Discard();
        second.Discard();
    }

    [Fact]
    public void ScriptsStartTheirInterpreter()
    {
        _directory.Add("/bin/sh", ElfBuilder.Fixed().Build());
        _directory.Add("/s1", "#!/bin/sh -e x\n"u8.ToArray());
        _directory.Add("/s2", "#! /s1 arg\n"u8.ToArray());
        Assert.Equal(0, Load("/s2", List("zero", "one"), out LoadedProgram? program, out _));
        Assert.Equal(["/bin/sh", "-e x", "/s1", "arg", "/s2", "one"], Arguments(program!));
        Assert.Equal("/s2", Text(program!, Auxiliary(program!, AT_EXECFN)));
        Assert.Equal("/bin/sh", program!.Executable.DisplayName);
        Assert.Equal("s2"u8, program.CommandName);
        Assert.Equal(1, _directory.OpenCount);
        program.Discard();
        Assert.Equal(0, _directory.OpenCount);
    }

    [Fact]
    public void ScriptsNestFiveDeepAndNoDeeper()
    {
        _directory.Add("/bin/sh", ElfBuilder.Fixed().Build());
        _directory.Add("/s0", "#!/bin/sh\n"u8.ToArray());
        for (int i = 1; i < 6; i++)
            _directory.Add($"/s{i}", Encoding.ASCII.GetBytes($"#!/s{i - 1}\n"));
        Assert.Equal(0, Load("/s4", List("s4"), out LoadedProgram? program, out _));
        program!.Discard();
        Fails("/s5", ELOOP, ExecFailure.NotAnExecutable);
        _directory.Add("/self", "#!/self\n"u8.ToArray());
        Fails("/self", ELOOP, ExecFailure.NotAnExecutable);
    }

    [Fact]
    public void EmptyArgumentsBecomeOneEmptyArgument()
    {
        _directory.Add("/prog", ElfBuilder.Fixed().Build());
        Assert.Equal(0, Load("/prog", List(), out LoadedProgram? program, out _));
        Assert.Equal([""], Arguments(program!));
        program!.Discard();
        _directory.Add("/script", "#!/prog\n"u8.ToArray());
        Assert.Equal(0, Load("/script", List(), out program, out _));
        Assert.Equal(["/prog", "/script"], Arguments(program!));
        program!.Discard();
    }

    [Fact]
    public void BadFilesFailWithNothingLeftBehind()
    {
        _directory.Add("/empty", []);
        Fails("/empty", ENOEXEC, ExecFailure.NotAnExecutable);
        _directory.Add("/text", "echo hello\n"u8.ToArray());
        Fails("/text", ENOEXEC, ExecFailure.NotAnExecutable);
        _directory.Add("/arm", ElfBuilder.Fixed().With(e => e.Machine = EM_AARCH64).Build());
        Fails("/arm", ENOEXEC, ExecFailure.WrongArchitecture);
        _directory.Add("/cut", ElfBuilder.Fixed().With(e => e.Length = 0x2200).Build());
        Fails("/cut", ENOEXEC, ExecFailure.Truncated);
        _directory.Add("/header", ElfBuilder.Fixed().Build()[..40]);
        Fails("/header", ENOEXEC, ExecFailure.Truncated);
        _directory.Add("/twice", ElfBuilder.Fixed().With(e => e.Headers.Add(e.Headers[0])).Build());
        Fails("/twice", ENOEXEC, ExecFailure.BadSegments);
        _directory.Add("/huge", ElfBuilder.Fixed().With(e => e.Headers[1].MemorySize = (1UL << 40) + 1).Build());
        Fails("/huge", ENOMEM, ExecFailure.TooLarge);
        // Fits the address space but not the guest's memory limit.
        _directory.Add("/large", ElfBuilder.Fixed().With(e => e.Headers[1].MemorySize = 1UL << 30).Build());
        Fails("/large", ENOMEM, ExecFailure.TooLarge);
    }

    [Fact]
    public void BadInterpretersFailWithNothingLeftBehind()
    {
        _directory.Add("/prog", ElfBuilder.PositionIndependent("/ld.so").Build());
        Fails("/prog", ENOENT, ExecFailure.InterpreterMissing);
        _directory.Add("/ld.so", "text"u8.ToArray());
        Fails("/prog", ELIBBAD, ExecFailure.NotAnExecutable);
        _directory.Add("/ld.so", ElfBuilder.Fixed().With(e => e.Machine = EM_AARCH64).Build());
        Fails("/prog", ELIBBAD, ExecFailure.WrongArchitecture);
        _directory.Add("/script", "#!/missing\n"u8.ToArray());
        Fails("/script", ENOENT, ExecFailure.InterpreterMissing);
        _directory.Add("/script2", "#!\n"u8.ToArray());
        Fails("/script2", ENOEXEC, ExecFailure.NotAnExecutable);
        _directory.Add("/script3", "#!/script2\n"u8.ToArray());
        Fails("/script3", ENOEXEC, ExecFailure.NotAnExecutable);
    }

    [Fact]
    public void TooManyArgumentsAreRefused()
    {
        _directory.Add("/prog", ElfBuilder.Fixed().Build());
        ArgumentList many = new();
        string value = new('x', 1000);
        for (int i = 0; i < 3000; i++)
            Assert.Equal(0, many.Add(Encoding.ASCII.GetBytes(value)));
        Fails("/prog", E2BIG, ExecFailure.ArgumentsTooLong, many);
        Assert.Equal(0, Load("/prog", many, out LoadedProgram? program, out _, stackLimit: 64 << 20));
        Assert.Equal(3000, Arguments(program!).Length);
        program!.Discard();
    }

    [Fact]
    public void ArgumentsAreReadFromAGuest()
    {
        _directory.Add("/prog", ElfBuilder.Fixed().Build());
        string longest = new('y', ArgumentList.MaximumStringBytes - 1);
        Assert.Equal(0, Load("/prog", List("a", "", longest), out LoadedProgram? program, out _));
        ulong limit = 1 << 20;
        VirtualAddress vector = new(program!.StackPointer + 8);
        Assert.Equal(0, ArgumentList.Read(program.Memory, vector, ref limit, null, out ArgumentList list));
        Assert.Equal(3, list.Count);
        Assert.Equal(longest, Encoding.ASCII.GetString(list[2]));
        Assert.Equal((1ul << 20) - (ulong)list.Bytes.Length - 24, limit);
        Assert.Equal(0, ArgumentList.Read(program.Memory, VirtualAddress.Null, ref limit, null, out list));
        Assert.Equal(0, list.Count);
        limit = 20;
        Assert.Equal(-E2BIG, ArgumentList.Read(program.Memory, vector, ref limit, null, out _));
        limit = 1 << 20;
        Assert.Equal(-EFAULT, ArgumentList.Read(program.Memory, new VirtualAddress(0x1000), ref limit, null, out _));
        Assert.Equal(
            -EFAULT, ArgumentList.Read(program.Memory, new VirtualAddress(ulong.MaxValue - 7), ref limit, null, out _));
        // One byte more than an argument may have.
        VirtualAddress place = new(0x1000_0000);
        Assert.Equal((long)place.Value, program.Memory.Map(
            place, 0x4_0000, Protection.ReadWrite, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, null, 0));
        byte[] overlong = new byte[ArgumentList.MaximumStringBytes];
        overlong.AsSpan().Fill((byte)'z');
        Assert.True(program.Memory.TryWrite(place, overlong));
        Assert.True(program.Memory.TryWrite(new VirtualAddress(program.StackPointer + 8), place.Value));
        Assert.Equal(-E2BIG, ArgumentList.Read(program.Memory, vector, ref limit, null, out _));
        program.Discard();
    }

    [Fact]
    public void ArgumentsOfLoadsUnderWayAreCountedUntilTheirEnd()
    {
        const long strings = 1 << 20, slack = 128 << 10;
        _directory.Add("/prog", ElfBuilder.Fixed().Build());
        _directory.Add("/script", "#!/prog\n"u8.ToArray());
        KernelMemory budget = new(strings * 7 / 2);
        using ManualResetEventSlim arrived = new(), goOn = new();
        ArgumentList first = new(budget), environment = new(budget);
        Assert.Equal(0, Fill(first));
        LoadedProgram? program = null;
        long result = -1;
        Thread load = new(() => result = Load(
            "/script", first, out program, out _, environment, opener: new HeldUp(_directory, arrived, goOn)));
        load.Start();
        Assert.True(arrived.Wait(20_000, TestContext.Current.CancellationToken));
        // The list, and the interpreter's.
        Assert.InRange(budget.Used, 2 * strings - slack, 2 * strings + slack);

        // The next has no room for the interpreter's, the one behind it for its own.
        ArgumentList second = new(budget), third = new(budget);
        Assert.Equal(0, Fill(second));
        Assert.Equal(-ENOMEM, Load("/script", second, out _, out ExecFailure reason));
        Assert.Equal(ExecFailure.TooLarge, reason);
        Assert.Equal(-ENOMEM, Fill(third));
        third.Release();
        // An ordinary command line needs no budget.
        long left = budget.Limit - budget.Used;
        Assert.True(budget.TryReserve(left));
        ArgumentList small = new(budget);
        Assert.Equal(0, small.Add("prog"u8));
        Assert.Equal(0, Load("/script", small, out LoadedProgram? other, out _, new ArgumentList(budget)));
        other!.Discard();
        budget.Release(left);
        second.Release();

        goOn.Set();
        load.Join();
        Assert.Equal(0, result);
        program!.Discard();
        // The list, and the stack.
        Assert.InRange(budget.Used, 2 * strings - slack, 2 * strings + slack);
        first.Release();
        environment.Release();
        Assert.Equal(0, budget.Used);

        static long Fill(ArgumentList list)
        {
            byte[] value = new byte[(64 << 10) - 1];
            value.AsSpan().Fill((byte)'x');
            long error = 0;
            for (long done = 0; error == 0 && done < strings; done += value.Length + 1)
                error = list.Add(value);
            return error;
        }
    }

    [Theory]
    [InlineData("/bin/sh")]
    [InlineData("/bin/busybox")]
    public void TheHostsProgramsLoad(string path)
    {
        Assert.SkipUnless(File.Exists(path), $"{path} is not installed");
        _directory.Add(path, File.ReadAllBytes(path));
        const string interpreter = "/lib64/ld-linux-x86-64.so.2";
        if (File.Exists(interpreter))
            _directory.Add(interpreter, File.ReadAllBytes(interpreter));
        Assert.Equal(0, Load(path, List("sh"), out LoadedProgram? program, out _));
        byte[] table = File.ReadAllBytes(path)[ElfHeader.Size..][..(ElfHeader.ProgramHeaderSize * (int)Auxiliary(program!, AT_PHNUM))];
        Assert.Equal(table, Read(program!, Auxiliary(program!, AT_PHDR), table.Length));
        Assert.Contains(program!.Memory.Describe(), m => m.Start <= program.EntryPoint && program.EntryPoint < m.End
            && (m.Protection & Protection.Execute) != 0);
        Assert.Contains(program.Memory.Describe(), m => m.Name == "[stack]" && m.End == program.StackTop);
        Assert.Contains(program.Memory.Describe(), m => m.Name == "[vdso]" && m.Start == program.VdsoAddress);
        program.Discard();
    }
}
