using System.Runtime.InteropServices;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Launch;

/// <summary>
/// Memory of the size of one <see cref="GuestRecord"/>, and no other, which a VMM writes when it is asked, and at its
/// end. What is read is a copy, and a record that the rules allow or none.
/// </summary>
static class GuestRecordFile
{
    /// <summary>Bytes of a record.</summary>
    public static int Length { get; } = Marshal.SizeOf<GuestRecord>();

    /// <exception cref="HostException">The host has no memory or descriptor left.</exception>
    public static FileDescriptor Create()
    {
        FileDescriptor file = FileDescriptor.CreateMemory("guest record", Length, MFD_ALLOW_SEALING);
        if (fcntl(file.Value, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW) == 0)
            return file;
        HostException failure = HostException.Last("fcntl", "F_ADD_SEALS");
        file.Dispose();
        throw failure;
    }

    /// <summary>What the VMM has written; null when it came to nothing, or to what no VMM writes.</summary>
    public static GuestRecord? Read(FileDescriptor file)
    {
        byte[] bytes = new byte[Length];
        return file.ReadAt(bytes, 0) == bytes.Length ? Parse(bytes) : null;
    }

    /// <summary>Null for what is no record.</summary>
    public static GuestRecord? Parse(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length != Length)
            return null;
        GuestRecord record = MemoryMarshal.Read<GuestRecord>(bytes);
        return GuestRecordRules.Hold(record) ? record : null;
    }

    public static byte[] Bytes(in GuestRecord record) =>
        MemoryMarshal.AsBytes(new ReadOnlySpan<GuestRecord>(in record)).ToArray();
}
