using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality;
using Sandbox.Vmm.Personality.Files;
using Sandbox.Vmm.Personality.Loader;
using static Sandbox.Host.Libc;

namespace Sandbox.Fuzz.Targets;

/// <summary>
/// The program loader. The input is a file that is parsed, compared with the reference, and executed, as its own
/// interpreter if it names one; a load must leave nothing behind.
/// </summary>
sealed class ElfTarget : FuzzTarget, IExecutableOpener
{
    private const ulong GuestMemoryBytes = 16 << 20;

    private readonly GuestMemory _memory = new(GuestMemoryBytes, new NoSlots());
    private readonly Vdso _vdso;
    private readonly ProgramLoader _loader;
    private byte[] _content = [];
    private int _openFiles;

    public ElfTarget()
    {
        _vdso = Vdso.Create(_memory) ?? throw new InvalidOperationException("no room for the vDSO");
        _loader = new ProgramLoader(_memory, _vdso, new LoaderOptions { Seed = 1 });
    }

    public override string Name => "elf";

    public override string Summary => "ELF and script headers, and loading what they accept";

    public override int MaximumLength => 16 * 1024;

    // The stack and the argument strings of a load are managed memory.
    public override long AllocationLimit => 1 << 20;

    public override IReadOnlyList<byte[]> Dictionary { get; } =
    [
        "#!"u8.ToArray(), "#!/bin/sh\n"u8.ToArray(), " \t"u8.ToArray(), [0x7f, 0x45, 0x4c, 0x46],
        [1, 0, 0, 0], [3, 0, 0, 0], [4, 0, 0, 0], [6, 0, 0, 0], [0x51, 0xe5, 0x74, 0x64], [2, 0, 62, 0], [3, 0, 62, 0],
        [0, 0x10, 0, 0, 0, 0, 0, 0], [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], [0, 0xf0, 0xff, 0xff, 0xff, 0x7f, 0, 0],
    ];

    public override bool Run(ReadOnlySpan<byte> input)
    {
        ElfError error = ElfImage.Parse(input, out ElfImage? image, out ReadOnlySpan<byte> interpreter);
        bool accepted = error == ElfError.None;
        OracleException.Check(accepted == (image is not null), "an image without success, or success without an image");
        OracleException.Check(accepted == ElfReference.Accepts(input), accepted
            ? "the parser accepts what the reference refuses"
            : $"the parser refuses ({error}) what the reference accepts");
        if (accepted)
            CheckImage(image!, interpreter);
        else
            OracleException.Check(error.ToExecFailure() != ExecFailure.None && error.ToErrno() > 0, $"{error} has no words");

        bool isScript = ScriptHeader.TryParse(input[..Math.Min(input.Length, ScriptHeader.LineLimit)], out ScriptHeader header);
        if (isScript)
            CheckScript(header);
        if (accepted || isScript)
            Load(input);
        return accepted || isScript;
    }

    private static void CheckImage(ElfImage image, ReadOnlySpan<byte> interpreter)
    {
        OracleException.Check(image.HasInterpreter == !interpreter.IsEmpty, "the interpreter's path and its flag disagree");
        OracleException.Check(!interpreter.Contains((byte)0), "a NUL in the interpreter's path");
        OracleException.Check(ulong.IsPow2(image.Alignment) && image.Alignment >= Page.Size, "alignment");
        foreach (ElfSegment segment in image.Segments)
            OracleException.Check(image.Start <= segment.PageStart && segment.End <= image.End, "a segment outside the image");
    }

    private static void CheckScript(in ScriptHeader header)
    {
        OracleException.Check(!header.Interpreter.IsEmpty, "an empty interpreter");
        OracleException.Check(header.Interpreter.IndexOfAny(" \t\n\0"u8) < 0, "a separator in the interpreter");
        OracleException.Check(header.Argument.IndexOfAny("\n\0"u8) < 0, "a terminator in the argument");
        OracleException.Check(header.Interpreter.Length + header.Argument.Length < ScriptHeader.LineLimit, "length");
    }

    private void Load(ReadOnlySpan<byte> input)
    {
        ulong used = _memory.UsedBytes;
        _content = input.ToArray();
        _openFiles = 0;
        OpenExecutable("/input"u8, out OpenFile? file);
        LoadRequest request = new()
        {
            File = file!,
            Path = "/input"u8.ToArray(),
            Arguments = new ArgumentList(),
            Environment = new ArgumentList(),
            Credentials = Credentials.Of(1000, 1000),
            StackLimit = 8 << 20,
        };
        long result = _loader.Load(request, this, out LoadedProgram? program, out ExecFailure reason);
        OracleException.Check(result <= 0 && (result == 0) == (program is not null), $"result {result}");
        OracleException.Check((result == 0) == (reason == ExecFailure.None), $"{result} with {reason}");
        if (program is not null)
            CheckProgram(program);
        program?.Discard();
        file!.Release();
        OracleException.Check(_openFiles == 0, $"{_openFiles} files left open");
        OracleException.Check(_memory.UsedBytes == used, $"{_memory.UsedBytes - used} bytes of guest memory leaked");
    }

    private static void CheckProgram(LoadedProgram program)
    {
        OracleException.Check(program.StackPointer % 16 == 0, "stack alignment");
        OracleException.Check(program.EntryPoint < AddressLayout.UserEnd, "entry point");
        OracleException.Check(
            program.Memory.TryRead(new VirtualAddress(program.StackPointer), out ulong count) && count >= 1, "argc");
        ulong end = 0;
        foreach (MappingDescription mapping in program.Memory.Describe())
        {
            OracleException.Check(mapping.Start >= end && mapping.Start >= AddressLayout.UserStart, "mappings out of order");
            end = mapping.End;
        }
        OracleException.Check(end <= AddressLayout.UserEnd, "a mapping above user space");
    }

    public long OpenExecutable(ReadOnlySpan<byte> path, out OpenFile? file)
    {
        file = new InputFile(this, _memory);
        _openFiles++;
        return 0;
    }

    private sealed class InputFile : OpenFile
    {
        private readonly ElfTarget _owner;
        private readonly PagedObject _pages;

        public InputFile(ElfTarget owner, GuestMemory memory)
            : base(O_RDONLY)
        {
            _owner = owner;
            _pages = memory.CreateObject("/input", 1, 1, null);
            if (owner._content.Length > 0)
                _pages.Write(0, owner._content);
        }

        public override string DisplayName => "/input";

        public override IMappable? Mappable => _pages;

        public override long ReadAt(Span<byte> buffer, long offset) => _pages.Read(offset, buffer);

        public override long GetStatus(out stat status)
        {
            status = new stat { st_size = _pages.Length };
            return 0;
        }

        protected override void Close()
        {
            _owner._openFiles--;
            _pages.Release();
        }
    }

    public override IEnumerable<(string Name, byte[] Input)> Seeds()
    {
        yield return ("script", "#!/bin/sh -e\necho\n"u8.ToArray());
        yield return ("fixed", ElfSeeds.Fixed());
        yield return ("pie", ElfSeeds.PositionIndependent(null));
        yield return ("pie-interpreter", ElfSeeds.PositionIndependent("/lib64/ld-linux-x86-64.so.2"));
        yield return ("vdso", VdsoBytes.Bytes.ToArray());
    }
}
