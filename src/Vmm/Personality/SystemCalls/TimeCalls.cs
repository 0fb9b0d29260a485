namespace Sandbox.Vmm.Personality.SystemCalls;

static class TimeCalls
{
    public static void Register(SystemCallTable table)
    {
    }
}
