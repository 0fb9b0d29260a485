using System.Text;
using Sandbox.Host;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.SystemCalls;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Trace;

/// <summary>
/// Prints arguments by the words of <see cref="SystemCallEntry.Signature"/>, one word per argument.
/// </summary>
/// <remarks>
/// The words: int, uint, hex, oct, mode (octal), size, offset, fd, dirfd (AT_FDCWD by name), pid, signal, ptr;
/// path and string (a NUL-terminated string), str (bytes that the call reads, as many as the next argument says),
/// buf (bytes that the call wrote, as many as its result says), argv (a vector of strings), flags:NAME and enum:NAME
/// (a family of <see cref="FlagNames"/>), timespec, timespec_out, timeval, itimerspec, itimerval, sigset, sigset_out,
/// sigaction, sigaction_out, wstatus, futex_op, int_out, fds_out (two descriptors). A word that is not known prints in
/// hex. Words in "_out", buf and wstatus are read after the call.
/// </remarks>
static class ArgumentFormat
{
    /// <summary>Bytes of a string that are shown, as strace's default.</summary>
    public const int StringLimit = 32;

    private const int PathLimit = 256;
    private const int VectorLimit = 16;

    /// <summary>Whether the argument is known only after the call.</summary>
    public static bool IsOutput(ReadOnlySpan<char> word) => word.EndsWith("_out") || word is "buf" or "wstatus";

    public static void Append(
        StringBuilder line, ReadOnlySpan<char> word, AddressSpace memory, in SystemCallArguments arguments, int index,
        long result)
    {
        ulong value = At(arguments, index);
        int colon = word.IndexOf(':');
        if (colon > 0)
        {
            FlagNames.Append(line, word[(colon + 1)..], value);
            return;
        }
        switch (word)
        {
            case "int" or "fd" or "pid":
                line.Append((int)value);
                break;
            case "uint":
                line.Append((uint)value);
                break;
            case "size":
                line.Append(value);
                break;
            case "offset":
                line.Append((long)value);
                break;
            case "oct" or "mode":
                line.Append('0').Append(Convert.ToString((long)value & 0xffff, 8));
                break;
            case "dirfd":
                line.Append((int)value == AT_FDCWD ? "AT_FDCWD" : ((int)value).ToString());
                break;
            case "signal":
                line.Append(SignalNames.Of((int)value));
                break;
            case "path" or "string":
                AppendString(line, memory, value);
                break;
            case "str":
                AppendBytes(line, memory, value, At(arguments, index + 1));
                break;
            case "buf":
                if (result < 0)
                    AppendPointer(line, value);
                else
                    AppendBytes(line, memory, value, (ulong)result);
                break;
            case "argv":
                AppendVector(line, memory, value);
                break;
            case "timespec" or "timeval":
                AppendTime(line, memory, value, word is "timeval");
                break;
            case "timespec_out":
                AppendTime(line, memory, result < 0 ? 0 : value, false);
                break;
            case "itimerspec" or "itimerval":
                AppendTimer(line, memory, value, word is "itimerval");
                break;
            case "sigset" or "sigset_out":
                AppendSignalSet(line, memory, value);
                break;
            case "sigaction" or "sigaction_out":
                AppendAction(line, memory, value);
                break;
            case "wstatus":
                AppendWaitStatus(line, memory, value, result);
                break;
            case "futex_op":
                AppendFutexOperation(line, (int)value);
                break;
            case "int_out":
                if (result >= 0 && memory.TryRead(new VirtualAddress(value), out int number))
                    line.Append('[').Append(number).Append(']');
                else
                    AppendPointer(line, value);
                break;
            case "fds_out":
                if (result >= 0 && memory.TryRead(new VirtualAddress(value), out ulong pair))
                    line.Append('[').Append((int)pair).Append(", ").Append((int)(pair >> 32)).Append(']');
                else
                    AppendPointer(line, value);
                break;
            default:
                AppendPointer(line, value);
                break;
        }
    }

    private static ulong At(in SystemCallArguments arguments, int index) => index switch
    {
        0 => arguments.A0,
        1 => arguments.A1,
        2 => arguments.A2,
        3 => arguments.A3,
        4 => arguments.A4,
        5 => arguments.A5,
        _ => 0,
    };

    public static void AppendPointer(StringBuilder line, ulong value)
    {
        if (value == 0)
            line.Append("NULL");
        else
            line.Append("0x").Append(value.ToString("x"));
    }

    private static void AppendString(StringBuilder line, AddressSpace memory, ulong address)
    {
        Span<byte> buffer = stackalloc byte[PathLimit];
        int length = memory.ReadString(new VirtualAddress(address), buffer);
        if (length >= 0)
            AppendQuoted(line, buffer[..length], cut: false);
        else if (length == -ENAMETOOLONG && memory.TryRead(new VirtualAddress(address), buffer))
            AppendQuoted(line, buffer, cut: true);
        else
            AppendPointer(line, address);
    }

    private static void AppendBytes(StringBuilder line, AddressSpace memory, ulong address, ulong count)
    {
        Span<byte> buffer = stackalloc byte[(int)Math.Min(count, StringLimit)];
        if (address != 0 && memory.TryRead(new VirtualAddress(address), buffer))
            AppendQuoted(line, buffer, cut: count > StringLimit);
        else
            AppendPointer(line, address);
    }

    private static void AppendVector(StringBuilder line, AddressSpace memory, ulong address)
    {
        if (address == 0)
        {
            line.Append("NULL");
            return;
        }
        line.Append('[');
        for (int i = 0; ; i++)
        {
            if (!new VirtualAddress(address).TryAdd((ulong)i * sizeof(ulong), out VirtualAddress slot)
                || !memory.TryRead(slot, out ulong pointer) || pointer == 0)
                break;
            if (i > 0)
                line.Append(", ");
            if (i == VectorLimit)
            {
                line.Append("...");
                break;
            }
            AppendString(line, memory, pointer);
        }
        line.Append(']');
    }

    public static void AppendQuoted(StringBuilder line, ReadOnlySpan<byte> bytes, bool cut)
    {
        line.Append('"');
        for (int i = 0; i < bytes.Length; i++)
        {
            byte b = bytes[i];
            switch (b)
            {
                case (byte)'\n': line.Append("\\n"); break;
                case (byte)'\t': line.Append("\\t"); break;
                case (byte)'\r': line.Append("\\r"); break;
                case (byte)'\v': line.Append("\\v"); break;
                case (byte)'\f': line.Append("\\f"); break;
                case (byte)'"': line.Append("\\\""); break;
                case (byte)'\\': line.Append("\\\\"); break;
                case >= 0x20 and < 0x7f: line.Append((char)b); break;
                default:
                    // As short as the next byte allows, so that the text can be read back.
                    bool digitFollows = i + 1 < bytes.Length && bytes[i + 1] is >= (byte)'0' and <= (byte)'9';
                    line.Append('\\').Append(Convert.ToString(b, 8).PadLeft(digitFollows ? 3 : 1, '0'));
                    break;
            }
        }
        line.Append(cut ? "\"..." : "\"");
    }

    private static void AppendTime(StringBuilder line, AddressSpace memory, ulong address, bool micro)
    {
        if (address != 0 && memory.TryRead(new VirtualAddress(address), out timespec time))
            AppendTime(line, time, micro);
        else
            AppendPointer(line, address);
    }

    private static void AppendTime(StringBuilder line, in timespec time, bool micro) =>
        line.Append("{tv_sec=").Append(time.tv_sec).Append(micro ? ", tv_usec=" : ", tv_nsec=")
            .Append(time.tv_nsec).Append('}');

    private static void AppendTimer(StringBuilder line, AddressSpace memory, ulong address, bool micro)
    {
        if (address == 0 || !memory.TryRead(new VirtualAddress(address), out itimerspec timer))
        {
            AppendPointer(line, address);
            return;
        }
        line.Append("{it_interval=");
        AppendTime(line, timer.it_interval, micro);
        line.Append(", it_value=");
        AppendTime(line, timer.it_value, micro);
        line.Append('}');
    }

    private static void AppendSignalSet(StringBuilder line, AddressSpace memory, ulong address)
    {
        if (address != 0 && memory.TryRead(new VirtualAddress(address), out ulong set))
            SignalNames.AppendSet(line, set);
        else
            AppendPointer(line, address);
    }

    private static void AppendAction(StringBuilder line, AddressSpace memory, ulong address)
    {
        if (address == 0 || !memory.TryRead(new VirtualAddress(address), out kernel_sigaction action))
        {
            AppendPointer(line, address);
            return;
        }
        line.Append("{sa_handler=");
        if (action.sa_handler == SIG_DFL)
            line.Append("SIG_DFL");
        else if (action.sa_handler == SIG_IGN)
            line.Append("SIG_IGN");
        else
            AppendPointer(line, action.sa_handler);
        line.Append(", sa_mask=");
        SignalNames.AppendSet(line, action.sa_mask);
        line.Append(", sa_flags=");
        FlagNames.Append(line, "sa", action.sa_flags);
        line.Append('}');
    }

    private static void AppendWaitStatus(StringBuilder line, AddressSpace memory, ulong address, long result)
    {
        if (result <= 0 || address == 0 || !memory.TryRead(new VirtualAddress(address), out int status))
        {
            AppendPointer(line, address);
            return;
        }
        line.Append('[');
        if (WIFEXITED(status))
            line.Append("{WIFEXITED(s) && WEXITSTATUS(s) == ").Append(WEXITSTATUS(status)).Append('}');
        else if (WIFSTOPPED(status))
            line.Append("{WIFSTOPPED(s) && WSTOPSIG(s) == ").Append(SignalNames.Of(WSTOPSIG(status))).Append('}');
        else if (WIFSIGNALED(status))
            line.Append("{WIFSIGNALED(s) && WTERMSIG(s) == ").Append(SignalNames.Of(WTERMSIG(status))).Append('}');
        else
            line.Append("0x").Append(status.ToString("x"));
        line.Append(']');
    }

    private static void AppendFutexOperation(StringBuilder line, int operation)
    {
        FlagNames.Append(line, "futex", (ulong)(operation & FUTEX_CMD_MASK));
        if ((operation & FUTEX_PRIVATE_FLAG) != 0)
            line.Append("_PRIVATE");
        if ((operation & FUTEX_CLOCK_REALTIME) != 0)
            line.Append("|FUTEX_CLOCK_REALTIME");
    }
}
