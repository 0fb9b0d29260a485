namespace Sandbox.Vmm.Personality.SystemCalls;

static class FileCalls
{
    public static void Register(SystemCallTable table)
    {
    }
}
