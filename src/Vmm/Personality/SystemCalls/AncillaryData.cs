using System.Buffers;
using System.Runtime.InteropServices;
using Sandbox.Host;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.Files;
using Sandbox.Vmm.Personality.Ipc;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.SystemCalls;

/// <summary>The control part of sendmsg(2) and recvmsg(2): cmsg(3), SCM_RIGHTS and SCM_CREDENTIALS.</summary>
static class AncillaryData
{
    /// <summary>sizeof(struct cmsghdr).</summary>
    private const int HeaderSize = 16;

    /// <summary>Longer ones are -ENOBUFS, as with net.core.optmem_max.</summary>
    private const int MaximumLength = 20480;

    /// <summary>Reads what a sender attaches.</summary>
    /// <param name="credentials">The sender's own; replaced by SCM_CREDENTIALS that it may use.</param>
    /// <param name="files">With a reference each, the caller's to send or release.</param>
    public static long TryRead(
        GuestThread thread, ulong address, ulong length, ref ucred credentials, out PassedFiles? files)
    {
        files = null;
        if (length == 0)
            return 0;
        if (length > MaximumLength)
            return -ENOBUFS;
        byte[] buffer = ArrayPool<byte>.Shared.Rent((int)length);
        Span<byte> control = buffer.AsSpan(0, (int)length);
        List<OpenFile> collected = [];
        long result = thread.Memory.TryRead(new VirtualAddress(address), control)
            ? Parse(thread, control, ref credentials, collected)
            : -EFAULT;
        ArrayPool<byte>.Shared.Return(buffer);

        if (result == 0 && collected.Count > 0)
        {
            FilesInFlight inFlight = thread.Personality.Sockets.InFlight;
            if (inFlight.TryAdd(collected.Count))
            {
                files = new PassedFiles([.. collected], inFlight);
                return 0;
            }
            result = -ETOOMANYREFS;
        }
        foreach (OpenFile file in collected)
            file.Release();
        return result;
    }

    private static long Parse(
        GuestThread thread, ReadOnlySpan<byte> control, ref ucred credentials, List<OpenFile> files)
    {
        while (control.Length >= HeaderSize)
        {
            cmsghdr header = MemoryMarshal.Read<cmsghdr>(control);
            if (header.cmsg_len < HeaderSize || header.cmsg_len > (nuint)control.Length)
                return -EINVAL;
            int length = (int)header.cmsg_len;
            ReadOnlySpan<byte> data = control[HeaderSize..length];
            if (header.cmsg_level == SOL_SOCKET)
            {
                long result = header.cmsg_type switch
                {
                    SCM_RIGHTS => CollectFiles(thread, data, files),
                    SCM_CREDENTIALS => CheckCredentials(thread, data, ref credentials),
                    _ => -EINVAL,
                };
                if (result != 0)
                    return result;
            }
            int aligned = (length + 7) & ~7;
            control = aligned < control.Length ? control[aligned..] : default;
        }
        return 0;
    }

    private static long CollectFiles(GuestThread thread, ReadOnlySpan<byte> data, List<OpenFile> files)
    {
        ReadOnlySpan<int> descriptors = MemoryMarshal.Cast<byte, int>(data);
        if (files.Count + descriptors.Length > PassedFiles.Maximum)
            return -EINVAL;
        foreach (int descriptor in descriptors)
        {
            OpenFile? file = thread.Descriptors.Acquire(descriptor);
            if (file is null)
                return -EBADF;
            files.Add(file);
        }
        return 0;
    }

    /// <summary>A process may claim its own identities only, the superuser of the guest any.</summary>
    private static long CheckCredentials(GuestThread thread, ReadOnlySpan<byte> data, ref ucred credentials)
    {
        if (data.Length != Marshal.SizeOf<ucred>())
            return -EINVAL;
        ucred claimed = MemoryMarshal.Read<ucred>(data);
        Credentials own = thread.Process.Credentials;
        bool allowed = own.IsSuperuser
            || (claimed.pid == thread.Process.Pid
                && (claimed.uid == own.RealUid || claimed.uid == own.EffectiveUid || claimed.uid == own.SavedUid)
                && (claimed.gid == own.RealGid || claimed.gid == own.EffectiveGid || claimed.gid == own.SavedGid));
        if (!allowed)
            return -EPERM;
        credentials = claimed;
        return 0;
    }

    /// <summary>Writes what came along, as far as there is room; what does not fit is lost (MSG_CTRUNC).</summary>
    /// <returns>Bytes of the control buffer that were used.</returns>
    public static ulong Write(
        GuestThread thread, ulong address, ulong room, int flags, bool passCredentials, ref ReceivedMessage message,
        ref int outFlags)
    {
        ulong used = 0;
        if (passCredentials)
        {
            // A message that nobody sent (the end of the stream) has no sender.
            Span<byte> bytes = stackalloc byte[Marshal.SizeOf<ucred>()];
            MemoryMarshal.Write(bytes, message.Sender);
            if (!TryPut(thread, address, room, ref used, SCM_CREDENTIALS, bytes))
                outFlags |= MSG_CTRUNC;
        }
        if (message.Files is { } files)
        {
            InstallFiles(thread, address, room, ref used, files, (flags & MSG_CMSG_CLOEXEC) != 0, ref outFlags);
            message.Files = null;
        }
        return used;
    }

    private static void InstallFiles(
        GuestThread thread, ulong address, ulong room, ref ulong used, PassedFiles files, bool closeOnExec,
        ref int outFlags)
    {
        ulong left = room - used;
        int fitting = left <= HeaderSize
            ? 0
            : (int)Math.Min((left - HeaderSize) / sizeof(int), (ulong)files.Files.Length);
        Span<int> descriptors = stackalloc int[PassedFiles.Maximum];
        int count = 0;
        while (count < fitting)
        {
            OpenFile file = files.Files[count];
            // One more reference: those of the message go with it.
            if (!file.TryAcquire())
                break;
            long descriptor = InputOutputCalls.Install(thread, file, closeOnExec);
            if (descriptor < 0)
                break;
            descriptors[count++] = (int)descriptor;
        }
        if (count < files.Files.Length)
            outFlags |= MSG_CTRUNC;
        files.Release();
        if (count > 0 && !TryPut(
            thread, address, room, ref used, SCM_RIGHTS, MemoryMarshal.AsBytes(descriptors[..count])))
        {
            for (int i = 0; i < count; i++)
                thread.Descriptors.Close(thread.Process, descriptors[i]);
            outFlags |= MSG_CTRUNC;
        }
    }

    private static bool TryPut(
        GuestThread thread, ulong address, ulong room, ref ulong used, int type, ReadOnlySpan<byte> data)
    {
        if (address == 0 || room - used < (ulong)(HeaderSize + data.Length))
            return false;
        Span<byte> element = stackalloc byte[HeaderSize + PassedFiles.Maximum * sizeof(int)];
        element = element[..(HeaderSize + data.Length)];
        cmsghdr header = new() { cmsg_len = (nuint)element.Length, cmsg_level = SOL_SOCKET, cmsg_type = type };
        MemoryMarshal.Write(element, header);
        data.CopyTo(element[HeaderSize..]);
        if (!thread.Memory.TryWrite(new VirtualAddress(address + used), element))
            return false;
        used = Math.Min(used + (((ulong)element.Length + 7) & ~7UL), room);
        return true;
    }
}
