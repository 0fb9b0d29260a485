using Sandbox.Host;

namespace Sandbox.Vmm.Machine;

/// <summary>Where a guest's output goes, up to a limit. One thread writes; any may read the count.</summary>
/// <param name="output">Null for nowhere: what the guest writes is lost.</param>
/// <param name="limit">Bytes; 0 for any number.</param>
sealed class LimitedOutput(FileDescriptor? output, long limit)
{
    private bool _isClosed;
    private long _bytes;

    /// <summary>Bytes that the guest wrote, whether anybody still reads them or not.</summary>
    public long Bytes => Volatile.Read(ref _bytes);

    /// <returns>False once the guest has written more than the limit.</returns>
    public bool TryWrite(ReadOnlySpan<byte> bytes)
    {
        int room = limit == 0 ? bytes.Length : (int)Math.Min(limit - _bytes, bytes.Length);
        _isClosed = _isClosed || output is null || !WaitingStream.TryWrite(output, bytes[..room]);
        Volatile.Write(ref _bytes, _bytes + room);
        return room == bytes.Length;
    }
}
