using System.Runtime.InteropServices;
using Sandbox.Host;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.Ipc;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.SystemCalls;

// getsockopt(2) and setsockopt(2).
static partial class SocketCalls
{
    private static void RegisterOptions(SystemCallTable table)
    {
        table.Add(SYS_getsockopt, "getsockopt", GetSockOpt, "fd flags:SOL flags:SO ptr ptr");
        table.Add(SYS_setsockopt, "setsockopt", SetSockOpt, "fd flags:SOL flags:SO ptr size");
    }

    private static long GetSockOpt(GuestThread thread, in SystemCallArguments a)
    {
        long result = Acquire(thread, a.Int0, out Socket socket);
        if (result != 0)
            return result;
        result = GetOption(thread, socket, a.Int1, a.Int2, a.A3, a.A4);
        socket.Release();
        return result;
    }

    private static long GetOption(
        GuestThread thread, Socket socket, int level, int option, ulong address, ulong lengthAddress)
    {
        if (!thread.Memory.TryRead(new VirtualAddress(lengthAddress), out int room))
            return -EFAULT;
        if (room < 0)
            return -EINVAL;

        Span<byte> value = stackalloc byte[16];
        long length = level == SOL_SOCKET
            ? GetSocketOption(socket, option, value)
            : socket.GetFamilyOption(level, option, value);
        if (length < 0)
            return length;
        int written = (int)Math.Min(length, room);
        if (!thread.Memory.TryWrite(new VirtualAddress(address), value[..written]))
            return -EFAULT;
        return thread.Memory.TryWrite(new VirtualAddress(lengthAddress), written) ? 0 : -EFAULT;
    }

    /// <returns>The value's length, or a negative errno.</returns>
    private static long GetSocketOption(Socket socket, int option, Span<byte> value)
    {
        switch (option)
        {
            case SO_TYPE:
                MemoryMarshal.Write(value, socket.Type);
                break;
            case SO_DOMAIN:
                MemoryMarshal.Write(value, socket.Domain);
                break;
            case SO_PROTOCOL:
                MemoryMarshal.Write(value, socket.Protocol);
                break;
            case SO_ERROR:
                MemoryMarshal.Write(value, socket.TakeError());
                break;
            case SO_ACCEPTCONN:
                MemoryMarshal.Write(value, socket.IsListening ? 1 : 0);
                break;
            case SO_SNDBUF:
                MemoryMarshal.Write(value, socket.SendBuffer);
                break;
            case SO_RCVBUF:
                MemoryMarshal.Write(value, socket.ReceiveBuffer);
                break;
            case SO_RCVLOWAT:
                MemoryMarshal.Write(value, 1);
                break;
            case SO_RCVTIMEO:
                return WriteTimeout(value, socket.ReceiveTimeout);
            case SO_SNDTIMEO:
                return WriteTimeout(value, socket.SendTimeout);
            case SO_LINGER:
                value[..Marshal.SizeOf<linger>()].Clear();
                return Marshal.SizeOf<linger>();
            default:
                if (!IsKeptSwitch(option))
                    return socket.GetFamilyOption(SOL_SOCKET, option, value);
                MemoryMarshal.Write(value, socket.GetSwitch(option) ? 1 : 0);
                break;
        }
        return sizeof(int);
    }

    private static int WriteTimeout(Span<byte> value, long nanoseconds)
    {
        MemoryMarshal.Write(value, new timeval
        {
            tv_sec = nanoseconds / 1_000_000_000,
            tv_usec = nanoseconds % 1_000_000_000 / 1000,
        });
        return Marshal.SizeOf<timeval>();
    }

    /// <summary>Switches that are kept and shown; for Unix sockets they change nothing.</summary>
    private static bool IsKeptSwitch(int option) => option is SO_REUSEADDR or SO_REUSEPORT or SO_KEEPALIVE
        or SO_BROADCAST or SO_DONTROUTE or SO_OOBINLINE or SO_TIMESTAMP_OLD or SO_TIMESTAMPNS_OLD or SO_PASSSEC;

    private static long SetSockOpt(GuestThread thread, in SystemCallArguments a)
    {
        long result = Acquire(thread, a.Int0, out Socket socket);
        if (result != 0)
            return result;
        result = SetOption(thread, socket, a.Int1, a.Int2, a.A3, a.Int4);
        socket.Release();
        return result;
    }

    private static long SetOption(
        GuestThread thread, Socket socket, int level, int option, ulong address, int length)
    {
        if (length < 0)
            return -EINVAL;
        if (level == SOL_SOCKET && option is SO_RCVTIMEO or SO_SNDTIMEO)
            return SetTimeout(thread, socket, option, address, length);
        if (length < sizeof(int))
            return -EINVAL;
        if (!thread.Memory.TryRead(new VirtualAddress(address), out int value))
            return -EFAULT;
        if (level != SOL_SOCKET)
            return socket.SetFamilyOption(level, option, value);
        switch (option)
        {
            case SO_SNDBUF:
                socket.SendBuffer = Math.Max(value, 0);
                return 0;
            case SO_RCVBUF:
                socket.ReceiveBuffer = Math.Max(value, 0);
                return 0;
            case SO_SNDBUFFORCE:
            case SO_RCVBUFFORCE:
                return -EPERM;
            case SO_RCVLOWAT:
            case SO_PRIORITY:
                return 0;
            case SO_LINGER:
                return length < Marshal.SizeOf<linger>() ? -EINVAL : 0;
            case SO_TYPE:
            case SO_DOMAIN:
            case SO_PROTOCOL:
            case SO_ERROR:
            case SO_ACCEPTCONN:
                return -ENOPROTOOPT;
            default:
                if (!IsKeptSwitch(option))
                    return socket.SetFamilyOption(SOL_SOCKET, option, value);
                long result = socket.OnSwitch(option, value != 0);
                if (result == 0)
                    socket.SetSwitch(option, value != 0);
                return result;
        }
    }

    private static long SetTimeout(GuestThread thread, Socket socket, int option, ulong address, int length)
    {
        if (length < Marshal.SizeOf<timeval>())
            return -EINVAL;
        if (!thread.Memory.TryRead(new VirtualAddress(address), out timeval time))
            return -EFAULT;
        if ((ulong)time.tv_usec >= 1_000_000)
            return -EDOM;
        long nanoseconds = time.tv_sec < 0
            // A negative time is "at once": one nanosecond, because zero means no timeout.
            ? 1
            : Math.Min(time.tv_sec, long.MaxValue / 2_000_000_000) * 1_000_000_000 + time.tv_usec * 1000;
        if (option == SO_RCVTIMEO)
            socket.ReceiveTimeout = nanoseconds;
        else
            socket.SendTimeout = nanoseconds;
        return 0;
    }
}
