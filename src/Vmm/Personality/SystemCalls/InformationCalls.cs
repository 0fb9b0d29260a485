namespace Sandbox.Vmm.Personality.SystemCalls;

static class InformationCalls
{
    public static void Register(SystemCallTable table)
    {
    }
}
