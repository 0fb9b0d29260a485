using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Supervisor.Launch;
using Sandbox.Supervisor.LifeCycle;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Tests.Metrics;

/// <summary>A VMM that is asked what it has counted, and that answers as it likes.</summary>
public sealed class CountQuestionTests : IDisposable
{
    readonly FileDescriptor _file = GuestRecordFile.Create();
    readonly List<ChannelMessage> _sent = [];
    readonly List<GuestRecord> _kept = [];
    readonly CountQuestion _question;
    long _now = 1000;
    bool _reads = true;
    int _keeping;

    public CountQuestionTests() => _question = new CountQuestion(_file, Send, Keep) { Now = () => _now };

    public void Dispose() => _file.Dispose();

    bool Send(ChannelMessage message)
    {
        if (_reads)
            _sent.Add(message);
        return _reads;
    }

    int Keep(GuestRecord record)
    {
        _kept.Add(record);
        return _keeping;
    }

    void Write(in GuestRecord record) => Assert.Equal(GuestRecordFile.Length, _file.WriteAt(GuestRecordFile.Bytes(record), 0));

    static ChannelMessage Answer(long number, uint error = 0) => new()
    {
        Version = ChannelMessage.CurrentVersion, Kind = MessageKind.Counted, Detail32 = error, Value = number,
    };

    [Fact]
    public void ARecordIsKeptAndIsNewForAWhile()
    {
        Assert.Equal(-EINPROGRESS, _question.Ask());
        Assert.Equal((MessageKind.Count, 1), (_sent[0].Kind, _sent[0].Value));
        Write(GuestRecords.Process());
        Assert.True(_question.IsAnswer(Answer(1)));
        Assert.Equal(0, _question.Take(Answer(1)));
        Assert.Equal(12UL, Assert.Single(_kept).OutputBytes);
        _now += CountQuestion.FreshMilliseconds - 1;
        Assert.Equal(0, _question.Ask());
        Assert.Single(_sent);
        _now++;
        Assert.Equal(-EINPROGRESS, _question.Ask());
        Assert.Equal(2, _sent[1].Value);
    }

    [Fact]
    public void HoweverManyAskOneQuestionIsOpen()
    {
        for (int i = 0; i < 1000; i++)
            Assert.Equal(-EINPROGRESS, _question.Ask());
        Assert.Single(_sent);
    }

    [Fact]
    public void AVmmThatDoesNotAnswerIsNotWaitedForAndNotAskedAgain()
    {
        Assert.Equal(-1, _question.MillisecondsLeft);
        Assert.False(_question.GivesUp());
        Assert.Equal(-EINPROGRESS, _question.Ask());
        Assert.Equal(CountQuestion.AnswerMilliseconds, _question.MillisecondsLeft);
        _now += 600;
        // Who comes later waits no longer for it than the first.
        Assert.Equal(-EINPROGRESS, _question.Ask());
        Assert.Equal(CountQuestion.AnswerMilliseconds - 600, _question.MillisecondsLeft);
        Assert.False(_question.GivesUp());
        _now += 400;
        Assert.True(_question.GivesUp());
        Assert.Equal(-1, _question.MillisecondsLeft);
        Assert.Equal(-EINPROGRESS, _question.Ask());
        Assert.Equal(CountQuestion.AnswerMilliseconds, _question.MillisecondsLeft);
        Assert.Single(_sent);
        // Late is late, and still true.
        Write(GuestRecords.Process());
        Assert.True(_question.IsAnswer(Answer(1)));
        Assert.Equal(0, _question.Take(Answer(1)));
    }

    [Fact]
    public void AVmmThatDoesNotReadIsUnresponsiveAtOnce()
    {
        _reads = false;
        Assert.Equal(-ETIMEDOUT, _question.Ask());
        _reads = true;
        Assert.Equal(-EINPROGRESS, _question.Ask());
    }

    [Fact]
    public void OnlyTheAnswerToTheQuestionIsOne()
    {
        Assert.False(_question.IsAnswer(Answer(0)));
        Assert.False(_question.IsAnswer(Answer(1)));
        _question.Ask();
        foreach (ChannelMessage other in (ChannelMessage[])
            [
                Answer(0), Answer(2), Answer(-1), Answer(1) with { Version = 0 }, Answer(1) with { Version = 2 },
                Answer(1) with { Kind = MessageKind.Started }, Answer(1) with { Kind = MessageKind.Count },
            ])
            Assert.False(_question.IsAnswer(other));
        Write(GuestRecords.Process());
        _question.Take(Answer(1));
        Assert.False(_question.IsAnswer(Answer(1)));
    }

    [Fact]
    public void LiesAreNotKept()
    {
        GuestRecord lie = GuestRecords.Machine();
        lie.DeviceCount = ulong.MaxValue;
        Assert.Equal(-EBADMSG, Tell(lie));
        Assert.Equal(-EBADMSG, Tell(default));
        Assert.Equal(-EBADMSG, Tell(GuestRecords.Process(), error: ENOMEM));
        Assert.Empty(_kept);
        Assert.Equal(0, Tell(GuestRecords.Machine()));
    }

    [Fact]
    public void WhatCannotBeKeptIsNotNew()
    {
        _keeping = -ENOSPC;
        Assert.Equal(-ENOSPC, Tell(GuestRecords.Process()));
        _keeping = 0;
        Assert.Equal(0, Tell(GuestRecords.Process()));
    }

    int Tell(in GuestRecord record, uint error = 0)
    {
        Assert.Equal(-EINPROGRESS, _question.Ask());
        Write(record);
        return _question.Take(Answer(_sent[^1].Value, error));
    }
}
