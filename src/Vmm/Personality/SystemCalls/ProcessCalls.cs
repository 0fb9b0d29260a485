namespace Sandbox.Vmm.Personality.SystemCalls;

static class ProcessCalls
{
    public static void Register(SystemCallTable table)
    {
    }
}
