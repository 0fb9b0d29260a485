using System.Runtime.InteropServices;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Launch;

/// <summary>Memory of the size of one <see cref="GuestRecord"/>, and no other, which a VMM writes at its end.</summary>
static class GuestRecordFile
{
    /// <exception cref="HostException">The host has no memory or descriptor left.</exception>
    public static FileDescriptor Create()
    {
        FileDescriptor file = FileDescriptor.CreateMemory(
            "guest record", Marshal.SizeOf<GuestRecord>(), MFD_ALLOW_SEALING);
        if (fcntl(file.Value, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW) == 0)
            return file;
        HostException failure = HostException.Last("fcntl", "F_ADD_SEALS");
        file.Dispose();
        throw failure;
    }

    /// <summary>What the VMM, which has ended, has written; null when it came to nothing.</summary>
    public static GuestRecord? Read(FileDescriptor file)
    {
        GuestRecord record = default;
        Span<byte> bytes = MemoryMarshal.AsBytes(new Span<GuestRecord>(ref record));
        return file.ReadAt(bytes, 0) == bytes.Length && record.Version == GuestRecord.CurrentVersion ? record : null;
    }
}
