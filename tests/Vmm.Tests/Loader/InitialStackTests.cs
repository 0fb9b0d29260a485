using System.Buffers.Binary;
using System.Text;
using Sandbox.Vmm.Personality;
using Sandbox.Vmm.Personality.Loader;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Tests.Loader;

public class InitialStackTests
{
    private const ulong Top = 0x7ffd_1234_5000;

    private static ArgumentList List(params string[] strings)
    {
        ArgumentList list = new();
        foreach (string value in strings)
            Assert.Equal(0, list.Add(Encoding.UTF8.GetBytes(value)));
        return list;
    }

    private static readonly AuxiliaryValues Values = new()
    {
        VdsoAddress = 0x7fff_0000_1000,
        ProgramHeaders = 0x5555_5555_4040,
        ProgramHeaderCount = 13,
        InterpreterBase = 0x7f00_0000_0000,
        ProgramEntry = 0x5555_5555_5000,
        Credentials = Credentials.Of(1000, 1001),
        Secure = false,
        HardwareCapabilities = 0x178b_fbff,
        HardwareCapabilities2 = 2,
        MinimumSignalStack = 3376,
    };

    /// <summary>Reads the stack as a C library's start code does.</summary>
    private sealed class Reader(InitialStack stack)
    {
        public ulong Word(ulong address) =>
            BinaryPrimitives.ReadUInt64LittleEndian(stack.Content.AsSpan((int)(address - stack.StackPointer)));

        public string Text(ulong address)
        {
            ReadOnlySpan<byte> at = stack.Content.AsSpan((int)(address - stack.StackPointer));
            return Encoding.UTF8.GetString(at[..at.IndexOf((byte)0)]);
        }

        public (string[] Arguments, string[] Environment, Dictionary<ulong, ulong> Auxiliary) Read()
        {
            ulong at = stack.StackPointer;
            ulong count = Word(at);
            at += 8;
            List<string> arguments = [], environment = [];
            for (; Word(at) != 0; at += 8)
                arguments.Add(Text(Word(at)));
            Assert.Equal(count, (ulong)arguments.Count);
            for (at += 8; Word(at) != 0; at += 8)
                environment.Add(Text(Word(at)));
            Dictionary<ulong, ulong> auxiliary = [];
            for (at += 8; Word(at) != AT_NULL; at += 16)
                auxiliary.Add(Word(at), Word(at + 8));
            return ([.. arguments], [.. environment], auxiliary);
        }
    }

    private static InitialStack Build(ulong seed, ArgumentList arguments, ArgumentList environment) =>
        InitialStack.Build(Top, arguments, environment, "/usr/bin/prog"u8, Values, new SeededEntropy(seed), new SeededEntropy(seed));

    [Fact]
    public void AStartingProgramFindsEverything()
    {
        InitialStack stack = Build(1, List("prog", "", "-x", "ü"), List("A=1", "PATH=/bin"));
        Reader reader = new(stack);
        var (arguments, environment, auxiliary) = reader.Read();
        Assert.Equal(["prog", "", "-x", "ü"], arguments);
        Assert.Equal(["A=1", "PATH=/bin"], environment);
        Assert.Equal(Values.VdsoAddress, auxiliary[AT_SYSINFO_EHDR]);
        Assert.Equal(4096ul, auxiliary[AT_PAGESZ]);
        Assert.Equal(100ul, auxiliary[AT_CLKTCK]);
        Assert.Equal(Values.ProgramHeaders, auxiliary[AT_PHDR]);
        Assert.Equal(56ul, auxiliary[AT_PHENT]);
        Assert.Equal(13ul, auxiliary[AT_PHNUM]);
        Assert.Equal(Values.InterpreterBase, auxiliary[AT_BASE]);
        Assert.Equal(0ul, auxiliary[AT_FLAGS]);
        Assert.Equal(Values.ProgramEntry, auxiliary[AT_ENTRY]);
        Assert.Equal(1000ul, auxiliary[AT_UID]);
        Assert.Equal(1000ul, auxiliary[AT_EUID]);
        Assert.Equal(1001ul, auxiliary[AT_GID]);
        Assert.Equal(1001ul, auxiliary[AT_EGID]);
        Assert.Equal(0ul, auxiliary[AT_SECURE]);
        Assert.Equal(3376ul, auxiliary[AT_MINSIGSTKSZ]);
        Assert.Equal("x86_64", reader.Text(auxiliary[AT_PLATFORM]));
        Assert.Equal("/usr/bin/prog", reader.Text(auxiliary[AT_EXECFN]));
        Assert.NotEqual(0ul, reader.Word(auxiliary[AT_RANDOM]));
        Assert.NotEqual(reader.Word(auxiliary[AT_RANDOM]), reader.Word(auxiliary[AT_RANDOM] + 8));
    }

    [Fact]
    public void TheShapeIsLinuxs()
    {
        for (ulong seed = 0; seed < 200; seed++)
        {
            string[] many = [.. Enumerable.Range(0, (int)(seed % 7)).Select(i => new string('e', i * 3))];
            InitialStack stack = Build(seed, List("a", "bc"), List(many));
            Assert.Equal(0ul, stack.StackPointer % 16);
            Assert.Equal(Top, stack.StackPointer + (ulong)stack.Content.Length);
            // The last word is null, the executed path lies right below it, then environment, then arguments.
            Assert.Equal(0ul, new Reader(stack).Word(Top - 8));
            Assert.Equal(Top - 8 - (ulong)"/usr/bin/prog".Length - 1, stack.EnvironmentEnd);
            Assert.Equal(stack.ArgumentsEnd, stack.EnvironmentStart);
            Assert.Equal(stack.ArgumentsStart + 5, stack.ArgumentsEnd);
            Assert.Equal(AT_NULL, (int)BinaryPrimitives.ReadUInt64LittleEndian(stack.AuxiliaryVector.Span[^16..]));
        }
    }

    [Fact]
    public void OneSeedOneStack()
    {
        Assert.Equal(Build(7, List("a"), List()).Content, Build(7, List("a"), List()).Content);
        Assert.NotEqual(Build(7, List("a"), List()).Content, Build(8, List("a"), List()).Content);
    }

    [Fact]
    public void OverlongStringsAreRefused()
    {
        ArgumentList list = new();
        Assert.Equal(0, list.Add(new byte[ArgumentList.MaximumStringBytes - 1].Select(_ => (byte)'x').ToArray()));
        Assert.Equal(-E2BIG, list.Add(new byte[ArgumentList.MaximumStringBytes].Select(_ => (byte)'x').ToArray()));
        Assert.Equal(1, list.Count);
    }

    [Theory]
    [InlineData(8UL << 20, 2UL << 20)]
    [InlineData(4096UL, 128UL << 10)]
    [InlineData(ulong.MaxValue, 6UL << 20)]
    public void TheArgumentLimitFollowsTheStackLimit(ulong stack, ulong limit) =>
        Assert.Equal(limit, ArgumentList.Limit(stack));

    [Fact]
    public void AScriptsArgumentsAreTheInterpretersAndThePath()
    {
        Assert.Equal(0, List("name", "1", "2").ForScript("/bin/sh"u8, "-e"u8, "./script"u8, out ArgumentList list));
        Assert.Equal("/bin/sh\0-e\0./script\01\02\0"u8, list.Bytes);
        Assert.Equal(0, List().ForScript("/bin/sh"u8, default, "./script"u8, out list));
        Assert.Equal("/bin/sh\0./script\0"u8, list.Bytes);
    }

    [Fact]
    public void TheLayoutStaysInOrderWhateverIsDrawn()
    {
        for (ulong seed = 0; seed < 2000; seed++)
        {
            AddressLayout layout = new(new SeededEntropy(seed), 8 << 20);
            Assert.True(layout.StackTop <= AddressLayout.UserEnd);
            Assert.True(layout.MapTop + AddressLayout.MinimumStackGap < layout.StackTop);
            Assert.True(layout.ProgramBase >= AddressLayout.PositionIndependentBase);
            Assert.True(layout.ProgramBase + AddressLayout.MaximumImageSpan < layout.MapTop);
            Assert.Equal(0ul, (layout.StackTop | layout.MapTop | layout.ProgramBase) % 4096);
            ulong start = layout.BreakStart(layout.ProgramBase + 1);
            Assert.InRange(start, layout.ProgramBase + 4096, layout.ProgramBase + 4096 + (32UL << 20));
        }
    }
}
