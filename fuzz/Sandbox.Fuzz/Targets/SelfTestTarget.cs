using System.Runtime.CompilerServices;
using Sandbox.Vmm.Personality.Loader;

namespace Sandbox.Fuzz.Targets;

/// <summary>
/// Fails on purpose, in every way that a handler can: the engine's own tests see to it that none goes unnoticed.
/// </summary>
sealed class SelfTestTarget : FuzzTarget
{
    public override string Name => "self-test";

    public override string Summary => "fails on purpose: what the engine's tests look for";

    public override int MaximumLength => 256;

    public override long AllocationLimit => 1 << 20;

    public override IReadOnlyList<byte[]> Dictionary { get; } =
        ["THROW"u8.ToArray(), "ORACLE"u8.ToArray(), "ALLOCATE"u8.ToArray(), "RECURSE"u8.ToArray(), "HANG"u8.ToArray()];

    public override bool Run(ReadOnlySpan<byte> input)
    {
        // The code that is instrumented, so that there is coverage.
        bool isScript = ScriptHeader.TryParse(input, out _);
        if (input.IndexOf("THROW"u8) >= 0)
            ThrowSomething();
        if (input.IndexOf("ORACLE"u8) >= 0)
            throw new OracleException("as asked for");
        if (input.IndexOf("ALLOCATE"u8) >= 0)
            GC.KeepAlive(new byte[2 << 20]);
        if (input.IndexOf("RECURSE"u8) >= 0)
            Recurse(input.Length);
        while (input.IndexOf("HANG"u8) >= 0)
            Thread.SpinWait(1000);
        return isScript;
    }

    private static void ThrowSomething() => throw new FormatException();

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int Recurse(int depth)
    {
        Span<byte> frame = stackalloc byte[4096];
        frame[depth % frame.Length] = 1;
        return Recurse(depth + 1) + frame[0];
    }

    public override IEnumerable<(string Name, byte[] Input)> Seeds()
    {
        yield return ("script", "#!/bin/sh\n"u8.ToArray());
    }
}
