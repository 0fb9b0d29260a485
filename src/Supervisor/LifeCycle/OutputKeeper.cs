using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.LifeCycle;

/// <summary>
/// One of this process's standard streams as a pipe, whose other end is written to a <see cref="LogRing"/>. Bytes are
/// passed on as they are; nothing looks at them.
/// </summary>
sealed class OutputKeeper
{
    const int BufferBytes = 64 << 10;
    const int StackBytes = 256 << 10;

    /// <summary>What is still in the pipe at the end takes no time to keep.</summary>
    const int EndMilliseconds = 2_000;

    readonly int _number;
    readonly FileDescriptor _pipe;
    Thread? _thread;
    bool _ended;

    OutputKeeper(int number, FileDescriptor pipe)
    {
        _number = number;
        _pipe = pipe;
    }

    /// <exception cref="HostException">The host has no descriptor left.</exception>
    public static OutputKeeper Of(int number)
    {
        (FileDescriptor read, FileDescriptor write) = FileDescriptor.CreatePipe();
        using (write)
            return dup2(write.Value, number) == number ? new OutputKeeper(number, read) : throw HostException.Last("dup2");
    }

    /// <exception cref="UsageException">There is no room for it.</exception>
    public void Start(StateFolder folder, string name)
    {
        int error = LogRing.TryMake(folder, name, out LogRing? ring);
        if (error != 0)
            throw new UsageException(
                $"run: the guest's output cannot be kept: {Errno.Describe(-error)}; make room in {StatePlace.Path}");
        _thread = new Thread(() => Keep(ring!), StackBytes) { IsBackground = true, Name = name };
        _thread.Start();
    }

    void Keep(LogRing ring)
    {
        using (ring)
        {
            byte[] buffer = new byte[BufferBytes];
            nint count;
            while ((count = _pipe.Read(buffer)) > 0 || count == -EINTR)
                if (count > 0)
                    ring.Append(buffer.AsSpan(0, (int)count));
        }
    }

    /// <summary>Nobody else writes any more: keeps what there is, and is done. The stream leads nowhere then.</summary>
    public void End()
    {
        if (_ended)
            return;
        _ended = true;
        using (FileDescriptor nowhere = FileDescriptor.Open("/dev/null", O_WRONLY))
            dup2(nowhere.Value, _number);
        // Bytes of somebody who has got hold of the other end may come for ever.
        if (_thread?.Join(EndMilliseconds) != false)
            _pipe.Dispose();
    }
}
