namespace Sandbox.Supervisor;

static class Program
{
    static int Main() => 125;
}
