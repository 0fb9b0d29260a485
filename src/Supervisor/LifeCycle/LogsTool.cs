using System.Text;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Supervisor.Launch;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.LifeCycle;

/// <summary>
/// <c>sandbox logs</c>: what a guest wrote to stdout goes to stdout, stderr to stderr. A file or a pipe gets it byte
/// for byte; at a terminal, what the terminal would obey is shown instead.
/// </summary>
static class LogsTool
{
    const int BufferBytes = 64 << 10;
    const int FollowMilliseconds = 50;

    public static int Run(string name, bool follow, bool raw)
    {
        using OpenedSandbox sandbox = OpenedSandbox.Find(name);
        using LogOutput? output = Open(sandbox.Folder, StateFolder.OutputName, STDOUT_FILENO, raw);
        using LogOutput? error = Open(sandbox.Folder, StateFolder.ErrorName, STDERR_FILENO, raw);
        if (output is null || error is null)
            throw new UsageException($"logs: nothing is kept of what {sandbox.Id} writes: it is not detached, and "
                + "writes to its caller's streams");
        while (true)
        {
            // Asked before the last look: what was written until its end is there then.
            bool isAlive = follow && sandbox.Folder.IsAlive;
            if (!output.PrintAll() || !error.PrintAll())
                return ExitStatus.SandboxFailed;
            if (!isAlive)
                break;
            Thread.Sleep(FollowMilliseconds);
        }

        foreach (LogOutput stream in (LogOutput[])[output, error])
            if (stream.Lost > 0)
                StandardStreams.WriteError($"logs: {stream.Lost} earlier bytes of {stream.Name} were not kept; "
                    + $"{LogRing.Capacity >> 20} MiB of each stream are");
        return 0;
    }

    static LogOutput? Open(StateFolder folder, string name, int to, bool raw) =>
        folder.OpenFile(name) is FileDescriptor file
            ? new LogOutput(new LogReader(file), name, to, !raw && isatty(to) == 1)
            : null;

    /// <summary>One of the streams on its way to one of ours.</summary>
    sealed class LogOutput(LogReader reader, string name, int to, bool printable) : IDisposable
    {
        readonly byte[] _buffer = new byte[BufferBytes];
        readonly Decoder _decoder = Encoding.UTF8.GetDecoder();

        public string Name => name;

        /// <summary>Bytes that are not kept.</summary>
        public ulong Lost { get; private set; }

        /// <summary>False when nobody takes it any more.</summary>
        public bool PrintAll()
        {
            int count;
            while ((count = reader.Read(_buffer)) > 0)
                if (!StandardStreams.Write(
                    to, printable ? Printable(_buffer.AsSpan(0, count)) : _buffer.AsSpan(0, count)))
                    return false;
            Lost += reader.TakeLost();
            return true;
        }

        byte[] Printable(ReadOnlySpan<byte> bytes)
        {
            char[] text = new char[Encoding.UTF8.GetMaxCharCount(bytes.Length)];
            int length = _decoder.GetChars(bytes, text, flush: false);
            return Encoding.UTF8.GetBytes(LogText.Printable(text.AsSpan(0, length)));
        }

        public void Dispose() => reader.Dispose();
    }
}
