namespace Sandbox.Vmm.Personality;

public sealed partial class GuestThread
{
    /// <summary>Bytes that one piece of a transfer moves between guest memory and a file.</summary>
    public const int TransferSize = 64 * 1024;

    private byte[]? _transferBuffer;
    private ulong[]? _vectorBuffer;

    /// <summary>
    /// Where system calls of this thread copy guest memory to before anything looks at it. One call uses it at a
    /// time; nothing in it survives the call.
    /// </summary>
    internal byte[] TransferBuffer => _transferBuffer ??= GC.AllocateUninitializedArray<byte>(TransferSize);

    private Ipc.PollSet? _pollSet;

    internal Ipc.PollSet PollSet => _pollSet ??= new Ipc.PollSet(this);

    /// <summary>Room for UIO_MAXIOV pairs of base and length.</summary>
    internal ulong[] VectorBuffer => _vectorBuffer ??= new ulong[2 * 1024];

    /// <summary>The thread has ended, but a pidfd, a zombie or a timer may still name it.</summary>
    private void LetBuffersGo()
    {
        _transferBuffer = null;
        _vectorBuffer = null;
        _pollSet = null;
        TraceLine = null;
    }
}
