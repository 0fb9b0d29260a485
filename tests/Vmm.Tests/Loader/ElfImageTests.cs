using Sandbox.Policy.Contract;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.Loader;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Tests.Loader;

public class ElfImageTests
{
    private static ElfError Parse(byte[] file) => ElfImage.Parse(file, out _, out _);

    private static ElfImage Accept(byte[] file)
    {
        Assert.Equal(ElfError.None, ElfImage.Parse(file, out ElfImage? image, out _));
        return image!;
    }

    [Fact]
    public void AcceptsAFixedImage()
    {
        ElfImage image = Accept(ElfBuilder.Fixed().Build());
        Assert.True(image.Header.IsFixed);
        Assert.Equal(2, image.Segments.Length);
        Assert.Equal(new ElfSegment(0, 0x40_0000, 0x1200, 0x1200, Protection.Read | Protection.Execute), image.Segments[0]);
        Assert.Equal(new ElfSegment(0x2100, 0x40_2100, 0x300, 0x2000, Protection.ReadWrite), image.Segments[1]);
        Assert.Equal(0x40_0000ul, image.Start);
        Assert.Equal(0x40_4100ul, image.End);
        Assert.Equal(0x40_0040ul, image.TableAddress);
        Assert.False(image.HasInterpreter);
        Assert.False(image.ExecutableStack);
    }

    [Fact]
    public void AcceptsAPositionIndependentImageWithInterpreter()
    {
        byte[] file = ElfBuilder.PositionIndependent("/lib64/ld.so").Build();
        Assert.Equal(ElfError.None, ElfImage.Parse(file, out ElfImage? image, out ReadOnlySpan<byte> interpreter));
        Assert.False(image!.Header.IsFixed);
        Assert.Equal("/lib64/ld.so"u8, interpreter);
    }

    [Theory]
    [InlineData("/bin/sh")]
    [InlineData("/lib64/ld-linux-x86-64.so.2")]
    public void AcceptsTheHostsOwnPrograms(string path)
    {
        ElfImage image = Accept(File.ReadAllBytes(path));
        Assert.NotEqual(0ul, image.TableAddress);
    }

    [Fact]
    public void ExecutableStackOnlyWhenAskedFor()
    {
        ElfBuilder elf = ElfBuilder.Fixed();
        elf.Headers.Add(new() { Type = PT_GNU_STACK, Flags = PF_R | PF_W | PF_X });
        Assert.True(Accept(elf.Build()).ExecutableStack);
        elf.Headers[^1].Flags = PF_R | PF_W;
        Assert.False(Accept(elf.Build()).ExecutableStack);
    }

    [Fact]
    public void TakesTheLargestAlignmentThatIsAPowerOfTwo()
    {
        ElfBuilder elf = ElfBuilder.PositionIndependent();
        elf.Headers[0].Align = 0x20_0000;
        elf.Headers[1].Align = 0x30_0001;
        Assert.Equal(0x20_0000ul, Accept(elf.Build()).Alignment);
    }

    [Fact]
    public void EmptySegmentsDoNotCount()
    {
        ElfBuilder elf = ElfBuilder.Fixed();
        elf.Headers.Add(new() { Address = 0, FileSize = 0, MemorySize = 0 });
        Assert.Equal(2, Accept(elf.Build()).Segments.Length);
    }

    public static TheoryData<string, ElfError, ExecFailure> Malformations
    {
        get
        {
            TheoryData<string, ElfError, ExecFailure> data = [];
            foreach ((string name, (ElfError error, ExecFailure failure, _)) in Cases)
                data.Add(name, error, failure);
            return data;
        }
    }

    private static readonly Dictionary<string, (ElfError, ExecFailure, Action<ElfBuilder>)> Cases = new()
    {
        ["empty file"] = (ElfError.NotElf, ExecFailure.NotAnExecutable, e => e.Length = 0),
        ["three bytes"] = (ElfError.NotElf, ExecFailure.NotAnExecutable, e => e.Length = 3),
        ["no magic"] = (ElfError.NotElf, ExecFailure.NotAnExecutable, e => e.Ident[1] = (byte)'F'),
        ["only the magic"] = (ElfError.HeaderTruncated, ExecFailure.Truncated, e => e.Length = 4),
        ["63 bytes"] = (ElfError.HeaderTruncated, ExecFailure.Truncated, e => e.Length = 63),
        ["32-bit"] = (ElfError.NotClass64, ExecFailure.WrongArchitecture, e => e.Ident[EI_CLASS] = ELFCLASS32),
        ["no class"] = (ElfError.NotClass64, ExecFailure.WrongArchitecture, e => e.Ident[EI_CLASS] = 0),
        ["big-endian"] = (ElfError.NotLittleEndian, ExecFailure.WrongArchitecture, e => e.Ident[EI_DATA] = ELFDATA2MSB),
        ["version"] = (ElfError.BadVersion, ExecFailure.NotAnExecutable, e => e.Ident[EI_VERSION] = 2),
        ["aarch64"] = (ElfError.WrongMachine, ExecFailure.WrongArchitecture, e => e.Machine = EM_AARCH64),
        ["i386"] = (ElfError.WrongMachine, ExecFailure.WrongArchitecture, e => e.Machine = EM_386),
        ["object file"] = (ElfError.NotExecutableType, ExecFailure.NotAnExecutable, e => e.Type = ET_REL),
        ["core file"] = (ElfError.NotExecutableType, ExecFailure.NotAnExecutable, e => e.Type = ET_CORE),
        ["no table"] = (ElfError.NoProgramHeaders, ExecFailure.BadSegments, e => e.TableCount = 0),
        ["table entry size"] = (ElfError.BadProgramHeaderSize, ExecFailure.BadSegments, e => e.TableEntrySize = 32),
        ["129 entries"] = (ElfError.TooManyProgramHeaders, ExecFailure.BadSegments, e => e.TableCount = 129),
        ["65535 entries"] = (ElfError.TooManyProgramHeaders, ExecFailure.BadSegments, e => e.TableCount = 65535),
        ["table past the end"] = (ElfError.TableOutsideFile, ExecFailure.Truncated, e => e.TableOffset = 0x3000),
        ["table across the end"] = (ElfError.TableOutsideFile, ExecFailure.Truncated, e => e.TableOffset = 0x3000 - 56),
        ["table offset wraps"] =
            (ElfError.TableOutsideFile, ExecFailure.Truncated, e => e.TableOffset = ulong.MaxValue - 55),
        ["nothing to load"] =
            (ElfError.NoSegments, ExecFailure.BadSegments, e => e.Headers.ForEach(h => h.Type = PT_NOTE)),
        ["only empty segments"] =
            (ElfError.NoSegments, ExecFailure.BadSegments, e => e.Headers.ForEach(h => h.FileSize = h.MemorySize = 0)),
        ["more file than memory"] = (ElfError.SegmentFileSizeExceedsMemorySize, ExecFailure.BadSegments,
            e => e.Headers[0].MemorySize = e.Headers[0].FileSize - 1),
        ["file range wraps"] = (ElfError.SegmentFileRangeWraps, ExecFailure.BadSegments,
            e => (e.Headers[0].Offset, e.Headers[0].FileSize, e.Headers[0].MemorySize) = (0xffff_ffff_ffff_f000, 0x2000, 0x2000)),
        ["segment past the end"] =
            (ElfError.SegmentOutsideFile, ExecFailure.Truncated, e => e.Headers[1].Offset = 0x3100),
        ["truncated"] = (ElfError.SegmentOutsideFile, ExecFailure.Truncated, e => e.Length = 0x2300),
        ["not congruent"] =
            (ElfError.SegmentNotCongruent, ExecFailure.BadSegments, e => e.Headers[1].Address += 0x10),
        ["address wraps"] = (ElfError.SegmentWraps, ExecFailure.BadSegments,
            e => (e.Headers[1].Address, e.Headers[1].MemorySize) = (0xffff_ffff_ffff_f100, 0x1000)),
        ["size wraps"] =
            (ElfError.SegmentWraps, ExecFailure.BadSegments, e => e.Headers[1].MemorySize = ulong.MaxValue),
        ["kernel address"] = (ElfError.SegmentOutsideUserSpace, ExecFailure.BadSegments,
            e => e.Headers[1].Address = 0xffff_8000_0000_0100),
        ["ends above user space"] = (ElfError.SegmentOutsideUserSpace, ExecFailure.BadSegments,
            e => e.Headers[1].Address = AddressLayout.UserEnd - 0x1f00),
        ["null page"] = (ElfError.SegmentOutsideUserSpace, ExecFailure.BadSegments, e => e.Headers[0].Address = 0),
        ["below the minimum"] =
            (ElfError.SegmentOutsideUserSpace, ExecFailure.BadSegments, e => e.Headers[0].Address = 0xf000),
        ["same address twice"] = (ElfError.SegmentsOverlap, ExecFailure.BadSegments, e => e.Headers.Add(e.Headers[0])),
        ["sharing one page"] = (ElfError.SegmentsOverlap, ExecFailure.BadSegments,
            e => (e.Headers[1].Address, e.Headers[1].Offset) = (0x40_1f00, 0x1f00)),
        ["first inside second"] = (ElfError.SegmentsOverlap, ExecFailure.BadSegments,
            e => (e.Headers[1].Address, e.Headers[1].FileSize, e.Headers[1].MemorySize) = (0x3f_0000, 0, 0x2_0000)),
        ["huge span"] = (ElfError.ImageTooLarge, ExecFailure.TooLarge, e => e.Headers[1].Address = 0x7000_0000_0100),
        ["huge bss"] = (ElfError.ImageTooLarge, ExecFailure.TooLarge, e => e.Headers[1].MemorySize = (1UL << 40) + 0x1000),
        ["entry in kernel space"] =
            (ElfError.EntryOutsideUserSpace, ExecFailure.BadSegments, e => e.Entry = 0xffff_ffff_8100_0000),
        ["entry outside a relocatable image"] = (ElfError.EntryOutsideUserSpace, ExecFailure.BadSegments, e =>
        {
            e.Type = ET_DYN;
            e.Entry = 0x40_4100;
        }),
        ["empty interpreter"] = (ElfError.InterpreterPathEmpty, ExecFailure.BadSegments,
            e => e.Headers.Add(new() { Type = PT_INTERP, Offset = 0x800, FileSize = 0 })),
        ["interpreter of one NUL"] = (ElfError.InterpreterPathEmpty, ExecFailure.BadSegments,
            e => e.Headers.Add(new() { Type = PT_INTERP, Offset = 0x800, FileSize = 1 })),
        ["interpreter of two NULs"] = (ElfError.InterpreterPathEmpty, ExecFailure.BadSegments,
            e => e.Headers.Add(new() { Type = PT_INTERP, Offset = 0x800, FileSize = 2 })),
        ["interpreter too long"] = (ElfError.InterpreterPathTooLong, ExecFailure.BadSegments,
            e => e.Headers.Add(new() { Type = PT_INTERP, Offset = 0x800, FileSize = 4097 })),
        ["interpreter past the end"] = (ElfError.InterpreterPathOutsideFile, ExecFailure.Truncated,
            e => e.Headers.Add(new() { Type = PT_INTERP, Offset = 0x2fff, FileSize = 2 })),
        ["interpreter offset wraps"] = (ElfError.InterpreterPathOutsideFile, ExecFailure.Truncated,
            e => e.Headers.Add(new() { Type = PT_INTERP, Offset = ulong.MaxValue, FileSize = 2 })),
        ["interpreter without NUL"] = (ElfError.InterpreterPathNotTerminated, ExecFailure.BadSegments, e =>
        {
            e.Headers.Add(new() { Type = PT_INTERP, Offset = 0x800, FileSize = 4 });
            e.Content.Add((0x800, "/abc"u8.ToArray()));
        }),
    };

    [Theory]
    [MemberData(nameof(Malformations))]
    public void RefusesMalformations(string name, ElfError error, ExecFailure failure)
    {
        byte[] file = ElfBuilder.Fixed().With(Cases[name].Item3).Build();
        Assert.Equal(error, Parse(file));
        Assert.Equal(failure, error.ToExecFailure());
        Assert.Contains(error.ToErrno(), new[] { ENOEXEC, ENOMEM });
    }

    [Fact]
    public void EveryErrorHasACase()
    {
        ElfError[] missing = [.. Enum.GetValues<ElfError>().Except(Cases.Values.Select(c => c.Item1)).Except([ElfError.None])];
        Assert.Empty(missing);
    }

    [Fact]
    public void TheBoundariesAreAccepted()
    {
        // The last byte of user space, the first address, exactly the largest span, 128 entries.
        Accept(ElfBuilder.Fixed().With(e =>
        {
            e.Headers.RemoveAt(0);
            e.Headers[0].Address = AddressLayout.UserEnd - 0x1f00;
            e.Headers[0].MemorySize = 0x1f00;
        }).Build());
        Accept(ElfBuilder.Fixed().With(e => e.Headers[0].Address = AddressLayout.UserStart).Build());
        Accept(ElfBuilder.Fixed().With(e => e.Headers[1].MemorySize = (1UL << 40) - 0x2100).Build());
        Accept(ElfBuilder.Fixed().With(e =>
        {
            e.Length = 0x8000;
            while (e.Headers.Count < ElfHeader.MaximumProgramHeaders)
                e.Headers.Add(new() { Type = PT_NOTE });
        }).Build());
    }
}
