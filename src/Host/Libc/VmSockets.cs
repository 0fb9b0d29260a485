using System.Runtime.InteropServices;

namespace Sandbox.Host;

/// <summary>An address between a virtual machine and its host: linux/vm_sockets.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct sockaddr_vm
{
    public ushort svm_family;
    private ushort _svm_reserved1;
    public uint svm_port;
    public uint svm_cid;
    private byte _svm_flags;
    private fixed byte _svm_zero[3];
}

/// <summary>Sockets between a virtual machine and its host: linux/vm_sockets.h, vsock(7).</summary>
public static unsafe partial class Libc
{
    public const uint VMADDR_CID_HOST = 2;
}
