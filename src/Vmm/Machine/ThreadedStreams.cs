using Sandbox.Host;

namespace Sandbox.Vmm.Machine;

/// <summary>The caller's standard input and output, with a thread each: both may wait for as long as the caller likes.</summary>
/// <param name="input">Null for none.</param>
/// <param name="output">Null for none: what the guest writes is lost.</param>
/// <param name="limit">Bytes that may go to the output; 0 for any number.</param>
/// <param name="limitReached">Called once the guest has written more.</param>
abstract class ThreadedStreams(FileDescriptor? input, FileDescriptor? output, long limit, Action limitReached) : IMachineStreams
{
    private const int StackBytes = 128 << 10;

    private readonly LimitedOutput _output = new(output, limit);
    private readonly OutputDrain _drain = new();

    public long OutputBytes => _output.Bytes;

    public void Start()
    {
        ThreadFilter.Start("console output", ThreadRole.Device, StackBytes, Write);
        if (input is not null)
            ThreadFilter.Start("console input", ThreadRole.Device, StackBytes, Read);
    }

    public bool Finish(long milliseconds)
    {
        EndOutput();
        return _drain.Wait(milliseconds);
    }

    public void GiveUp() => _drain.GiveUp();

    /// <summary>Bytes of input that are taken from the caller at once: what the guest never reads is lost to him.</summary>
    protected abstract int InputBytes { get; }

    /// <summary>Waits for what the guest writes.</summary>
    /// <returns>How many bytes; 0 after <see cref="EndOutput"/>, when nothing is left.</returns>
    protected abstract int TakeOutput(Span<byte> buffer);

    /// <summary>The guest writes no more.</summary>
    protected abstract void EndOutput();

    /// <summary>Waits until all of it is with the guest's device.</summary>
    /// <returns>False when nothing will be taken any more.</returns>
    protected abstract bool GiveInput(ReadOnlySpan<byte> bytes);

    private void Write()
    {
        Span<byte> buffer = stackalloc byte[4096];
        bool isWithin = true;
        while (isWithin && TakeOutput(buffer) is > 0 and int count)
        {
            _drain.CountWrite();
            isWithin = _output.TryWrite(buffer[..count]);
            _drain.CountWrite();
        }
        if (!isWithin)
            limitReached();
        _drain.End();
    }

    private void Read()
    {
        Span<byte> buffer = stackalloc byte[InputBytes];
        while (WaitingStream.Read(input!, buffer) is > 0 and int count && GiveInput(buffer[..count]))
        {
        }
    }
}
