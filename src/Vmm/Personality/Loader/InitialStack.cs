using System.Buffers.Binary;
using Sandbox.Vmm.Memory;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Loader;

/// <summary>
/// The top of a new program's stack as Linux leaves it for the program's first instruction: argc, argv, envp and the
/// auxiliary vector at the stack pointer, the strings above (System V ABI x86-64, 3.4.1; create_elf_tables).
/// </summary>
public sealed class InitialStack
{
    /// <summary>AT_PLATFORM.</summary>
    private static ReadOnlySpan<byte> Platform => "x86_64\0"u8;

    private const int RandomBytes = 16;

    /// <summary>The stack pointer at the first instruction; a multiple of 16. argc is there.</summary>
    public ulong StackPointer { get; private init; }

    /// <summary>What lies from the stack pointer to the end of the stack.</summary>
    public byte[] Content { get; private init; } = [];

    public ulong ArgumentsStart { get; private init; }

    public ulong ArgumentsEnd { get; private init; }

    public ulong EnvironmentStart { get; private init; }

    public ulong EnvironmentEnd { get; private init; }

    /// <summary>The auxiliary vector as it lies on the stack, AT_NULL included.</summary>
    public ReadOnlyMemory<byte> AuxiliaryVector { get; private init; }

    /// <param name="top">The end of the stack; page-aligned.</param>
    /// <param name="arguments">At least one.</param>
    /// <param name="layoutEntropy">Shifts the stack pointer within two pages.</param>
    /// <param name="entropy">For AT_RANDOM.</param>
    public static InitialStack Build(
        ulong top,
        ArgumentList arguments,
        ArgumentList environment,
        ReadOnlySpan<byte> executedPath,
        in AuxiliaryValues values,
        EntropySource layoutEntropy,
        EntropySource entropy)
    {
        const int auxiliaryEntries = 21;
        const int topGap = sizeof(ulong);
        const ulong shuffleRange = 8192;
        const int alignment = 16;

        ulong position = top - topGap;
        ulong executedPathAddress = position -= (ulong)executedPath.Length + 1;
        ulong environmentStart = position -= (ulong)environment.Bytes.Length;
        ulong argumentsStart = position -= (ulong)arguments.Bytes.Length;
        position = (position - layoutEntropy.NextBits(13) % shuffleRange) & ~(ulong)(alignment - 1);
        ulong platformAddress = position -= (ulong)Platform.Length;
        ulong randomAddress = position -= RandomBytes;
        ulong words = 1 + ((ulong)arguments.Count + 1) + ((ulong)environment.Count + 1) + 2 * auxiliaryEntries;
        ulong stackPointer = (position - words * sizeof(ulong)) & ~(ulong)(alignment - 1);

        byte[] content = new byte[top - stackPointer];
        Span<byte> at(ulong address) => content.AsSpan((int)(address - stackPointer));
        executedPath.CopyTo(at(executedPathAddress));
        environment.Bytes.CopyTo(at(environmentStart));
        arguments.Bytes.CopyTo(at(argumentsStart));
        Platform.CopyTo(at(platformAddress));
        entropy.Fill(at(randomAddress)[..RandomBytes]);

        Span<byte> next = content;
        Push(ref next, (ulong)arguments.Count);
        PushPointers(ref next, arguments, argumentsStart);
        PushPointers(ref next, environment, environmentStart);
        int auxiliaryOffset = content.Length - next.Length;
        Push(ref next, AT_SYSINFO_EHDR, values.VdsoAddress);
        Push(ref next, AT_MINSIGSTKSZ, values.MinimumSignalStack);
        Push(ref next, AT_HWCAP, values.HardwareCapabilities);
        Push(ref next, AT_PAGESZ, Page.Size);
        Push(ref next, AT_CLKTCK, 100);
        Push(ref next, AT_PHDR, values.ProgramHeaders);
        Push(ref next, AT_PHENT, ElfHeader.ProgramHeaderSize);
        Push(ref next, AT_PHNUM, (ulong)values.ProgramHeaderCount);
        Push(ref next, AT_BASE, values.InterpreterBase);
        Push(ref next, AT_FLAGS, 0);
        Push(ref next, AT_ENTRY, values.ProgramEntry);
        Push(ref next, AT_UID, values.Credentials.RealUid);
        Push(ref next, AT_EUID, values.Credentials.EffectiveUid);
        Push(ref next, AT_GID, values.Credentials.RealGid);
        Push(ref next, AT_EGID, values.Credentials.EffectiveGid);
        Push(ref next, AT_SECURE, values.Secure ? 1UL : 0);
        Push(ref next, AT_RANDOM, randomAddress);
        Push(ref next, AT_HWCAP2, values.HardwareCapabilities2);
        Push(ref next, AT_EXECFN, executedPathAddress);
        Push(ref next, AT_PLATFORM, platformAddress);
        Push(ref next, AT_NULL, 0);
        int auxiliaryLength = content.Length - next.Length - auxiliaryOffset;

        return new InitialStack
        {
            StackPointer = stackPointer,
            Content = content,
            ArgumentsStart = argumentsStart,
            ArgumentsEnd = argumentsStart + (ulong)arguments.Bytes.Length,
            EnvironmentStart = environmentStart,
            EnvironmentEnd = environmentStart + (ulong)environment.Bytes.Length,
            AuxiliaryVector = content.AsMemory(auxiliaryOffset, auxiliaryLength),
        };
    }

    private static void PushPointers(ref Span<byte> next, ArgumentList list, ulong start)
    {
        for (int i = 0; i < list.Count; i++)
            Push(ref next, start + (ulong)list.StartOf(i));
        Push(ref next, 0);
    }

    private static void Push(ref Span<byte> next, int type, ulong value)
    {
        Push(ref next, (ulong)type);
        Push(ref next, value);
    }

    private static void Push(ref Span<byte> next, ulong value)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(next, value);
        next = next[sizeof(ulong)..];
    }
}

/// <summary>What the auxiliary vector (getauxval(3)) says beyond what the stack itself determines.</summary>
public readonly struct AuxiliaryValues
{
    /// <summary>AT_SYSINFO_EHDR: where the vDSO's ELF header is.</summary>
    public required ulong VdsoAddress { get; init; }

    public required ulong ProgramHeaders { get; init; }

    public required int ProgramHeaderCount { get; init; }

    /// <summary>AT_BASE: the interpreter's load bias, 0 without one.</summary>
    public required ulong InterpreterBase { get; init; }

    /// <summary>AT_ENTRY: the program's own entry point, even when the interpreter runs first.</summary>
    public required ulong ProgramEntry { get; init; }

    public required Credentials Credentials { get; init; }

    /// <summary>AT_SECURE: the program gained privileges; the C library then distrusts the environment.</summary>
    public required bool Secure { get; init; }

    /// <summary>AT_HWCAP: CPUID leaf 1, EDX.</summary>
    public required ulong HardwareCapabilities { get; init; }

    public required ulong HardwareCapabilities2 { get; init; }

    /// <summary>AT_MINSIGSTKSZ: bytes that delivering a signal takes of a stack.</summary>
    public required ulong MinimumSignalStack { get; init; }
}
