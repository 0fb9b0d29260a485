namespace Sandbox.Vmm.Personality.SystemCalls;

static class InputOutputCalls
{
    public static void Register(SystemCallTable table)
    {
    }
}
