namespace Sandbox.Vmm;

static class Program
{
    static int Main() => 125;
}
