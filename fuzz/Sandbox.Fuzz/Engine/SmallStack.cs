namespace Sandbox.Fuzz.Engine;

/// <summary>Runs targets on a stack of the size that the VMM's guest threads have, so that deep frames show.</summary>
static class SmallStack
{
    private const int StackBytes = 512 << 10;

    public static int Run(Func<int> action)
    {
        int result = 0;
        Thread thread = new(() => result = action(), StackBytes);
        thread.Start();
        thread.Join();
        return result;
    }
}
