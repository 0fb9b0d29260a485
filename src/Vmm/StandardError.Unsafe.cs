using System.Text;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm;

/// <summary>Words for the operator. System.Console would prepare terminals and signals before it wrote any.</summary>
static unsafe class StandardError
{
    /// <summary>Says one line; whether it is heard does not matter.</summary>
    public static void Say(string message)
    {
        byte[] line = Encoding.UTF8.GetBytes($"sandbox-vmm: {message}\n");
        fixed (byte* start = line)
            _ = write(STDERR_FILENO, start, (nuint)line.Length);
    }
}
