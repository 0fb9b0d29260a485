namespace Sandbox.Vmm.Personality.SystemCalls;

static class ThreadCalls
{
    public static void Register(SystemCallTable table)
    {
    }
}
