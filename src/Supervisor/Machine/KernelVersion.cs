using System.Buffers.Binary;
using System.Text;
using Sandbox.Host;

namespace Sandbox.Supervisor.Machine;

/// <summary>What a bzImage says it is: Documentation/arch/x86/boot.rst, kernel_version.</summary>
static class KernelVersion
{
    private const int Magic = 0x202, Pointer = 0x20e, Base = 0x200, MaximumLength = 256;

    /// <returns>Such as 6.1.0-56-amd64; null for a file that does not say.</returns>
    public static string? Of(FileDescriptor kernel)
    {
        byte[] head = new byte[Base + 0x20];
        if (kernel.ReadAt(head, 0) != head.Length || !head.AsSpan(Magic, 4).SequenceEqual("HdrS"u8))
            return null;
        byte[] text = new byte[MaximumLength];
        nint count = kernel.ReadAt(text, Base + BinaryPrimitives.ReadUInt16LittleEndian(head.AsSpan(Pointer)));
        int end = text.AsSpan(0, (int)Math.Max(count, 0)).IndexOfAny((byte)' ', (byte)0);
        // It becomes a folder's name.
        return end <= 0 || text.AsSpan(0, end).ContainsAnyExceptInRange((byte)'!', (byte)'~') || text.AsSpan(0, end).Contains((byte)'/')
            ? null
            : Encoding.ASCII.GetString(text, 0, end);
    }
}
