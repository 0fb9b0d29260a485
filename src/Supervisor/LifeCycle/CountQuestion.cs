using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Supervisor.Launch;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.LifeCycle;

/// <summary>
/// What a VMM has counted, while its guest runs. One question at a time and not too often, whoever asks; who asks gets
/// an answer in time, whatever the VMM does.
/// </summary>
/// <param name="file">Where the VMM writes its record.</param>
/// <param name="send">Sends a message to the VMM: false when it does not read its channel.</param>
/// <param name="keep">Puts a record where others find it: 0 or a negative error number.</param>
sealed class CountQuestion(FileDescriptor file, Func<ChannelMessage, bool> send, Func<GuestRecord, int> keep)
{
    /// <summary>So long a record is new enough for whoever asks next.</summary>
    public const int FreshMilliseconds = 100;

    /// <summary>So long a VMM has to answer. A healthy one needs less than a millisecond.</summary>
    public const int AnswerMilliseconds = 1_000;

    long _number;
    long? _open;
    long _keptAt = long.MinValue;
    long _deadline = long.MaxValue;

    /// <summary>Milliseconds of the monotonic clock.</summary>
    public Func<long> Now { get; init; } = static () => HostClock.MonotonicNanoseconds() / 1_000_000;

    /// <returns>0 when a new record is kept, -EINPROGRESS when one will be, or another negative error number.</returns>
    public int Ask()
    {
        long now = Now();
        if (_keptAt != long.MinValue && now - _keptAt < FreshMilliseconds)
            return 0;
        // One that has not answered is not asked again: what it does not read would pile up.
        if (_open is null)
        {
            if (!send(new ChannelMessage { Kind = MessageKind.Count, Value = ++_number }))
                return -ETIMEDOUT;
            _open = _number;
        }

        _deadline = Math.Min(_deadline, now + AnswerMilliseconds);
        return -EINPROGRESS;
    }

    /// <summary>Whether this answers the question.</summary>
    public bool IsAnswer(in ChannelMessage message) =>
        message is { Version: ChannelMessage.CurrentVersion, Kind: MessageKind.Counted } && message.Value == _open;

    /// <summary>Takes the answer.</summary>
    /// <returns>For those who wait: 0, -EBADMSG for what is no record, or another negative error number.</returns>
    public int Take(in ChannelMessage message)
    {
        _open = null;
        _deadline = long.MaxValue;
        if (message.Detail32 != 0 || GuestRecordFile.Read(file) is not GuestRecord record)
            return -EBADMSG;
        int error = keep(record);
        if (error == 0)
            _keptAt = Now();
        return error;
    }

    /// <summary>
    /// Milliseconds until those who wait must not wait any longer, as poll(2) takes it; -1 when nobody does.
    /// </summary>
    public int MillisecondsLeft =>
        _deadline == long.MaxValue ? -1 : (int)Math.Clamp(_deadline - Now(), 0, AnswerMilliseconds);

    /// <summary>Gives up waiting, if it is time for that: the answer may still come for others.</summary>
    public bool GivesUp()
    {
        if (MillisecondsLeft != 0)
            return false;
        _deadline = long.MaxValue;
        return true;
    }
}
