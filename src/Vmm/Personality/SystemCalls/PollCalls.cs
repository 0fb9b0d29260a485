namespace Sandbox.Vmm.Personality.SystemCalls;

static class PollCalls
{
    public static void Register(SystemCallTable table)
    {
    }
}
