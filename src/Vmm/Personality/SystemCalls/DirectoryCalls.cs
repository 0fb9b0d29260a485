namespace Sandbox.Vmm.Personality.SystemCalls;

static class DirectoryCalls
{
    public static void Register(SystemCallTable table)
    {
    }
}
