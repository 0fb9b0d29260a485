namespace Sandbox.Policy.Contract;

/// <summary>
/// Finds the frames in a stream of bytes that comes in pieces of any size. It keeps one frame, and allocates nothing
/// once it is made.
/// </summary>
public sealed class AgentDecoder
{
    private readonly byte[] _frame = new byte[AgentFrame.HeaderSize + AgentFrame.MaximumPayload];
    private int _length;

    /// <summary>Takes bytes up to the end of the next frame.</summary>
    /// <param name="bytes">What was taken is cut off its beginning.</param>
    /// <param name="isWhole">Whether there is a frame now: <see cref="Kind"/> and <see cref="Payload"/>.</param>
    /// <returns>False when this is no stream of frames; nothing that follows can be one.</returns>
    public bool TryTake(ref ReadOnlySpan<byte> bytes, out bool isWhole)
    {
        if (_length > 0 && _length == Needed)
            _length = 0;
        isWhole = false;
        while (true)
        {
            int missing = Needed - _length;
            int taken = Math.Min(missing, bytes.Length);
            bytes[..taken].CopyTo(_frame.AsSpan(_length));
            bytes = bytes[taken..];
            _length += taken;
            if (taken < missing)
                return true;
            if (_frame[1] != 0 || PayloadLength > AgentFrame.MaximumPayload)
                return false;
            if (_length == Needed)
            {
                isWhole = true;
                return true;
            }
        }
    }

    /// <summary>Of the frame that is whole.</summary>
    public AgentFrameKind Kind => (AgentFrameKind)_frame[0];

    /// <summary>Of the frame that is whole; valid until more is taken.</summary>
    public ReadOnlySpan<byte> Payload => _frame.AsSpan(AgentFrame.HeaderSize, PayloadLength);

    private int PayloadLength => _frame[2] | _frame[3] << 8;

    /// <summary>How long the frame is, as far as that is known.</summary>
    private int Needed =>
        _length < AgentFrame.HeaderSize ? AgentFrame.HeaderSize : AgentFrame.HeaderSize + PayloadLength;
}
