using System.Text;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Launch;

/// <summary>
/// Descriptors 0, 1 and 2. Written to directly: the runtime's Console costs a millisecond to start and buffers.
/// </summary>
static unsafe class StandardStreams
{
    static readonly bool[] s_open = [true, true, true];

    /// <summary>Where messages for the caller go.</summary>
    public static int ErrorNumber { get; set; } = STDERR_FILENO;

    /// <summary>
    /// Fills a closed standard stream with /dev/null, so that no file opened later lands on its number. Runs first.
    /// </summary>
    public static void Reserve()
    {
        for (int number = 0; number <= 2; number++)
        {
            if (fcntl(number, F_GETFD, 0) != -1)
                continue;
            s_open[number] = false;
            fixed (byte* path = "/dev/null\0"u8)
                open(path, number == 0 ? O_RDONLY : O_WRONLY, 0);
        }
    }

    /// <summary>Whether the caller had this stream open: one that was closed stays closed for the guest.</summary>
    public static bool IsOpen(int number) => s_open[number];

    /// <summary>Writes to stdout; false if the reader has gone or the disk is full.</summary>
    public static bool WriteOutput(string text) => Write(STDOUT_FILENO, text);

    /// <summary>One line on stderr. Nobody is left to tell when that fails.</summary>
    public static void WriteError(string line) => Write(ErrorNumber, $"sandbox: {line}\n");

    /// <summary>Lines on stderr that have a form of their own.</summary>
    public static void WriteText(string text) => Write(ErrorNumber, text);

    static bool Write(int number, string text) => Write(number, Encoding.UTF8.GetBytes(text));

    /// <summary>Writes everything; false if the reader has gone or the disk is full.</summary>
    public static bool Write(int number, ReadOnlySpan<byte> rest)
    {
        while (!rest.IsEmpty)
        {
            nint written;
            fixed (byte* bytes = rest)
                written = write(number, bytes, (nuint)rest.Length);
            if (written < 0 && errno == EINTR)
                continue;
            if (written <= 0)
                return false;
            rest = rest[(int)written..];
        }

        return true;
    }
}
