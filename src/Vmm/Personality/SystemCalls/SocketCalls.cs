namespace Sandbox.Vmm.Personality.SystemCalls;

static class SocketCalls
{
    public static void Register(SystemCallTable table)
    {
    }
}
