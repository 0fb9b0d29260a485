namespace Sandbox.Fuzz.Engine;

/// <summary>Runs one input through a target and says what is wrong with the outcome.</summary>
public sealed class Executor(FuzzTarget target, CoverageMap coverage)
{
    /// <summary>Whether the last input got past the target's first checks.</summary>
    public bool Decoded { get; private set; }

    /// <returns>Null when all is well.</returns>
    public CrashSite? Run(ReadOnlySpan<byte> input)
    {
        Decoded = false;
        coverage.Reset();
        long before = GC.GetAllocatedBytesForCurrentThread();
        try
        {
            Decoded = target.Run(input);
        }
        catch (Exception e)
        {
            // Whatever it is, it should not have escaped from the code under test.
            return CrashSite.Of(e);
        }
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before - target.OracleAllocation;
        return allocated > target.AllocationLimit
            ? new CrashSite("allocation", "", $"{allocated} bytes, {target.AllocationLimit} are allowed")
            : null;
    }
}
