namespace Sandbox.Vmm.Personality.SystemCalls;

static class SignalCalls
{
    public static void Register(SystemCallTable table)
    {
    }
}
