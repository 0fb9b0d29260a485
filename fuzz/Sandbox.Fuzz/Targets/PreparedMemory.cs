using System.Buffers.Binary;
using System.Text;
using static Sandbox.Host.Libc;

namespace Sandbox.Fuzz.Targets;

/// <summary>
/// What a scripted guest finds in its memory, so that a pointer argument means something more often than by chance:
/// paths, vectors, structures, each in a slot of its own.
/// </summary>
static class PreparedMemory
{
    public const int ObjectSize = 256;
    public const int ObjectCount = 48;

    /// <summary>Slot numbers that seeds refer to.</summary>
    public static class Slot
    {
        public const int TmpA = 0, TmpB = 1, TmpDirectory = 2, Dot = 3, Root = 4, Proc = 5, ProcMaps = 6, ProcFd = 7, DevNull = 8,
            DevPtmx = 9, ProcSelf = 10, Missing = 11, Text = 12, Empty = 13, IoVector = 16, Timespec = 17, LongTimespec = 18,
            TimeZero = 19, UnixAddress = 20, MessageHeader = 21, ControlMessage = 22, EpollEvent = 23, PollSet = 24, SignalAction = 25,
            SignalSet = 26, Timer = 27, AlternateStack = 28, OpenHow = 29, CloneArguments = 30, ArgumentVector = 31, Lock = 32,
            SignalInfo = 33, WindowSize = 34, PathAddress = 35, CredentialsControl = 36, CredentialsMessage = 37,
                ThreadArguments = 38,
            FutexVector = 39, Buffer = 40, RobustList = 41, MessageVector = 42, ResourceLimit = 43, SignalEvent = 44,
                TmpSocket = 45;
    }

    public static byte[] Build()
    {
        byte[] memory = new byte[CallScript.DataSize];
        text(Slot.TmpA, "/tmp/a");
        text(Slot.TmpB, "/tmp/b");
        text(Slot.TmpDirectory, "/tmp/d");
        text(Slot.Dot, ".");
        text(Slot.Root, "/");
        text(Slot.Proc, "/proc");
        text(Slot.ProcMaps, "/proc/self/maps");
        text(Slot.ProcFd, "/proc/self/fd");
        text(Slot.DevNull, "/dev/null");
        text(Slot.DevPtmx, "/dev/ptmx");
        text(Slot.ProcSelf, "/proc/self/exe");
        text(Slot.Missing, "missing/../x");
        text(Slot.Text, "some text that is not a path\n");
        // struct iovec[3]: a buffer, nothing, and one that ends in memory that is not there.
        words(Slot.IoVector, address(Slot.Buffer), 64, address(Slot.Empty), 0,
            CallScript.Data + CallScript.DataSize - 16, 4096);
        words(Slot.Timespec, 0, 1000);
        words(Slot.LongTimespec, 1_000_000_000, 999_999_999);
        BinaryPrimitives.WriteUInt16LittleEndian(at(Slot.UnixAddress), AF_UNIX);
        Encoding.ASCII.GetBytes("\0name", at(Slot.UnixAddress)[2..]);
        // struct msghdr with a vector and a control message of one descriptor, 0.
        words(Slot.MessageHeader, 0, 0, address(Slot.IoVector), 1, address(Slot.ControlMessage), 24, 0);
        words(Slot.ControlMessage, 20, SOL_SOCKET | (ulong)SCM_RIGHTS << 32, 0);
        words(Slot.EpollEvent, 1 | 0x1234ul << 32, 0);
        words(Slot.PollSet, 1ul << 32 | 0, 4ul << 32 | 1, 1ul << 32 | 3);
        // struct sigaction: handler, SA_SIGINFO | SA_RESTORER | SA_RESTART, restorer, mask.
        words(Slot.SignalAction, 0x40_1000, SA_SIGINFO | (ulong)SA_RESTORER | SA_RESTART, 0x40_2000, 0);
        words(Slot.SignalSet, 1ul << (SIGUSR1 - 1));
        words(Slot.Timer, 0, 1000, 0, 1000);
        words(Slot.AlternateStack, CallScript.Data + 0x8000, 0, 0x4000);
        words(Slot.OpenHow, O_RDONLY, 0, 0);
        words(Slot.CloneArguments, 0, 0, 0, 0, SIGCHLD, 0, 0, 0, 0, 0, 0);
        words(Slot.ArgumentVector, address(Slot.TmpA), address(Slot.Text), 0);
        words(Slot.Lock, F_WRLCK, 0, 10, 0);
        words(Slot.SignalInfo, SIGUSR1, unchecked((ulong)SI_QUEUE) & uint.MaxValue, 0);
        words(Slot.WindowSize, 24 | 80 << 16);
        text(Slot.TmpSocket, "/tmp/s");
        BinaryPrimitives.WriteUInt16LittleEndian(at(Slot.PathAddress), AF_UNIX);
        Encoding.ASCII.GetBytes("/tmp/s", at(Slot.PathAddress)[2..]);
        words(Slot.CredentialsControl, 28, SOL_SOCKET | (ulong)SCM_CREDENTIALS << 32, 2 | 1000ul << 32, 1000);
        words(Slot.CredentialsMessage, 0, 0, address(Slot.IoVector), 2, address(Slot.CredentialsControl), 32, 0);
        // A thread: everything shared, a stack of its own, and where its number goes.
        words(Slot.ThreadArguments,
            CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_CHILD_CLEARTID, 0,
            address(Slot.Buffer), 0, 0, CallScript.Data + 0x9000, 0x1000, 0);
        // struct futex_waitv[2]: 32-bit words, private.
        words(Slot.FutexVector, 0, address(Slot.Buffer), 0x82, 0, address(Slot.Empty), 0x82);
        // struct robust_list_head whose only entry is itself a lock.
        words(Slot.RobustList, address(Slot.Buffer), 8, 0);
        words(Slot.MessageVector, 0, 0, address(Slot.IoVector), 1, address(Slot.ControlMessage), 24, 0, 0,
            0, 0, address(Slot.IoVector), 3, 0, 0, 0, 0);
        words(Slot.ResourceLimit, 8, 16);
        words(Slot.SignalEvent, 0x1234, SIGUSR1);
        return memory;

        Span<byte> at(int slot) => memory.AsSpan(slot * ObjectSize, ObjectSize);
        static ulong address(int slot) => CallScript.Data + (ulong)(slot * ObjectSize);
        void text(int slot, string value) => Encoding.ASCII.GetBytes(value, at(slot));
        void words(int slot, params ulong[] values)
        {
            for (int i = 0; i < values.Length; i++)
                BinaryPrimitives.WriteUInt64LittleEndian(at(slot)[(i * 8)..], values[i]);
        }
    }
}
