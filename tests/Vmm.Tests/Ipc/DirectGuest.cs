using System.Runtime.InteropServices;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality;
using Sandbox.Vmm.Personality.Files;
using Sandbox.Vmm.Personality.SystemCalls;
using Sandbox.Vmm.Tests.Files;
using Sandbox.Vmm.Tests.Processes;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Tests.Ipc;

/// <summary>
/// A guest process whose system calls the test makes itself, on any host thread: real handlers, real guest memory, no
/// guest code.
/// </summary>
sealed class DirectGuest : IDisposable
{
    /// <summary>Read-write memory of the process; behind it nothing is mapped.</summary>
    public const ulong Data = ScriptedGuest.Data;
    public const ulong DataSize = ScriptedGuest.DataSize;

    /// <summary>The first byte behind the data.</summary>
    public const ulong Unmapped = Data + DataSize;

    private readonly ScriptedGuest _guest;

    /// <param name="broker">The VMM's end of a network channel, for a guest that has something of the network.</param>
    public DirectGuest(FileDescriptor? broker = null)
    {
        _guest = new ScriptedGuest(
            files: [GuestTree.Temporary("/tmp")],
            network: broker is null ? null : new GuestNetwork { Broker = 0, NameServer = true });
        Memory = _guest.Memory.CreateAddressSpace()!;
        Assert.Equal((long)Data, Memory.Map(
            new VirtualAddress(Data), DataSize, Protection.ReadWrite,
            MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, null, 0));
        Personality.BuildFiles([]);
        Thread = Personality.CreateFirstProcess(
            new DescriptorTable(256), Personality.Files.CreateContext(Personality.Files.Root));
        Thread.Process.Memory = Memory;
        if (broker is not null)
            Personality.OpenNetwork([broker]);
    }

    public LinuxPersonality Personality => _guest.Personality;

    public AddressSpace Memory { get; }

    public GuestThread Thread { get; }

    public long Call(
        int number, ulong a0 = 0, ulong a1 = 0, ulong a2 = 0, ulong a3 = 0, ulong a4 = 0, ulong a5 = 0) =>
        Call(Thread, number, new SystemCallArguments(a0, a1, a2, a3, a4, a5));

    private long Call(GuestThread thread, int number, in SystemCallArguments arguments) =>
        Personality.SystemCalls[(ulong)number].Handler(thread, arguments);

    /// <summary>Makes a call that is expected to wait in a host thread of its own.</summary>
    public PendingCall CallAside(int number, params ulong[] a) => CallAside(Thread, number, a);

    /// <summary>The same by another thread of the process, so that this one may wait too.</summary>
    public PendingCall CallByAnother(int number, params ulong[] a) =>
        CallAside(new GuestThread(Thread.Process, Thread.Tid + 1, Thread.Cpu), number, a);

    private PendingCall CallAside(GuestThread thread, int number, ulong[] a)
    {
        ulong At(int i) => i < a.Length ? a[i] : 0;
        return PendingCall.Start(
            () => Call(thread, number, new SystemCallArguments(At(0), At(1), At(2), At(3), At(4), At(5))));
    }

    public void Write(ulong address, ReadOnlySpan<byte> bytes) =>
        Assert.True(Memory.TryWrite(new VirtualAddress(address), bytes));

    public void Write<T>(ulong address, in T value) where T : unmanaged =>
        Assert.True(Memory.TryWrite(new VirtualAddress(address), value));

    public void WriteWords(ulong address, params ulong[] words) =>
        Write(address, MemoryMarshal.AsBytes(words.AsSpan()));

    public byte[] Read(ulong address, int length)
    {
        byte[] bytes = new byte[length];
        Assert.True(Memory.TryRead(new VirtualAddress(address), bytes));
        return bytes;
    }

    public T Read<T>(ulong address) where T : unmanaged
    {
        Assert.True(Memory.TryRead(new VirtualAddress(address), out T value));
        return value;
    }

    /// <summary>pipe2(2): reader and writer.</summary>
    public (ulong Reader, ulong Writer) Pipe(int flags = 0) => Pair(Call(SYS_pipe2, Data, (ulong)flags));

    /// <summary>socketpair(2).</summary>
    public (ulong A, ulong B) SocketPair(int type) =>
        Pair(Call(SYS_socketpair, AF_UNIX, (ulong)type, 0, Data));

    private (ulong, ulong) Pair(long result)
    {
        Assert.Equal(0, result);
        return (Read<uint>(Data), Read<uint>(Data + 4));
    }

    /// <summary>Writes to an open file while the thread's own buffers are in use by a waiting call.</summary>
    public void WriteAside(ulong descriptor, byte[] bytes)
    {
        OpenFile file = Thread.Descriptors.Acquire((int)descriptor)!;
        Assert.Equal(bytes.Length, file.Write(bytes));
        file.Release();
    }

    /// <summary>Gives the process an open file: its descriptor.</summary>
    public ulong Open(OpenFile file) => (ulong)Thread.Descriptors.Add(file, closeOnExec: false);

    public void Dispose()
    {
        // The thread never ran: it leaves here, or the end would wait for it.
        Personality.End(EndCause.Exited, 0, 0);
        Personality.OnThreadEnded(Thread);
        _guest.Dispose();
    }
}

/// <summary>A call that runs in a host thread of its own because it waits.</summary>
sealed class PendingCall
{
    private readonly ManualResetEventSlim _done = new();
    private long _result;
    private Exception? _failure;

    public static PendingCall Start(Func<long> call)
    {
        PendingCall pending = new();
        new Thread(() => pending.Run(call)) { IsBackground = true }.Start();
        return pending;
    }

    private void Run(Func<long> call)
    {
        try
        {
            _result = call();
        }
        catch (Exception failure)
        {
            _failure = failure;
        }
        _done.Set();
    }

    /// <summary>True when it has not returned after that many milliseconds.</summary>
    public bool IsWaiting(int milliseconds) => !_done.Wait(milliseconds, CancellationToken.None);

    public long Result()
    {
        Assert.True(_done.Wait(20_000, CancellationToken.None), "the call never returned");
        return _failure is null ? _result : throw new InvalidOperationException("the call failed", _failure);
    }
}
