namespace Sandbox.Vmm.Personality.SystemCalls;

static class MemoryCalls
{
    public static void Register(SystemCallTable table)
    {
    }
}
