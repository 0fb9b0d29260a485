using Sandbox.Host;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality;
using Sandbox.Vmm.Personality.Ipc;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Tests.Ipc;

/// <summary>System V shared memory; guests/segments.c compares more of it with the host's kernel.</summary>
public sealed class SegmentCallsTests : IDisposable
{
    private const ulong Data = DirectGuest.Data, Size = 3 * Page.Size;

    private readonly DirectGuest _guest = new();

    public void Dispose() => _guest.Dispose();

    private long Call(int number, ulong a0 = 0, ulong a1 = 0, ulong a2 = 0) => _guest.Call(number, a0, a1, a2);

    private ulong Make(ulong size = Size, int key = IPC_PRIVATE, int mode = 0x180)
    {
        long id = Call(SYS_shmget, (ulong)key, size, (ulong)(IPC_CREAT | mode));
        Assert.True(id >= 0, $"shmget answers {id}");
        return (ulong)id;
    }

    private ulong Attach(ulong id, ulong address = 0, int flags = 0)
    {
        long result = Call(SYS_shmat, id, address, (ulong)flags);
        Assert.True(result > 0, $"shmat answers {result}");
        return (ulong)result;
    }

    private shmid64_ds Status(ulong id)
    {
        Assert.Equal(0, Call(SYS_shmctl, id, IPC_STAT, Data));
        return _guest.Read<shmid64_ds>(Data);
    }

    [Fact]
    public void Every_attachment_sees_the_same_memory()
    {
        ulong id = Make();
        ulong one = Attach(id), two = Attach(id);
        _guest.Write(one + Page.Size, 42L);
        Assert.Equal(42L, _guest.Read<long>(two + Page.Size));
        Assert.Equal((2UL, Size), (Status(id).shm_nattch, Status(id).shm_segsz));
        Assert.Equal(0, Call(SYS_shmdt, one));
        Assert.False(_guest.Memory.IsMapped(new VirtualAddress(one), Page.Size));
        Assert.Equal(1UL, Status(id).shm_nattch);
    }

    [Fact]
    public void One_that_is_removed_lives_as_long_as_it_is_attached()
    {
        // With all page tables.
        ulong other = Make();
        _guest.Write(Attach(other), 1L);
        Status(other);
        long before = _guest.Personality.KernelMemory.Used;
        ulong pages = _guest.Personality.Memory.UsedBytes;
        ulong id = Make(), one = Attach(id);
        for (ulong at = 0; at < Size; at += Page.Size)
            _guest.Write(one + at, 7L);
        Assert.Equal(0, Call(SYS_shmctl, id, IPC_RMID));
        Assert.Equal(0, Call(SYS_shmctl, id, IPC_RMID));
        Assert.Equal((1UL, 0x200u), (Status(id).shm_nattch, Status(id).shm_perm.mode & 0x200));
        ulong two = Attach(id);
        Assert.Equal(7L, _guest.Read<long>(two));
        Assert.Equal(0, Call(SYS_shmdt, one));
        Assert.Equal(0, Call(SYS_munmap, two, Size));
        Assert.Equal(-EINVAL, Call(SYS_shmctl, id, IPC_STAT, Data));
        Assert.Equal(-EINVAL, Call(SYS_shmat, id));
        Assert.Equal(before, _guest.Personality.KernelMemory.Used);
        // As the processor does before it goes on.
        Assert.True(_guest.Memory.CompleteEdits(_guest.Thread.Cpu));
        Assert.Equal(pages, _guest.Personality.Memory.UsedBytes);
    }

    [Fact]
    public void A_part_that_is_left_goes_with_the_rest_and_nothing_else_does()
    {
        ulong id = Make(), one = Attach(id), other = Attach(Make());
        Assert.Equal(0, Call(SYS_munmap, one + Page.Size, Page.Size));
        Assert.Equal(2UL, Status(id).shm_nattch);
        Assert.Equal(-EINVAL, Call(SYS_shmdt, one + 2 * Page.Size));
        Assert.Equal(-EINVAL, Call(SYS_shmdt, one + 1));
        Assert.Equal(-EINVAL, Call(SYS_shmdt, Data));
        Assert.Equal(0, Call(SYS_shmdt, one));
        Assert.Equal(0UL, Status(id).shm_nattch);
        Assert.True(_guest.Memory.IsMapped(new VirtualAddress(other), Size));
        // Its first page gone, it is still one that began there.
        one = Attach(id);
        Assert.Equal(0, Call(SYS_munmap, one, Page.Size));
        Assert.Equal(0, Call(SYS_shmdt, one));
        Assert.Equal(0UL, Status(id).shm_nattch);
    }

    [Fact]
    public void Only_who_may_attaches_changes_and_removes()
    {
        ulong id = Make(mode: 0x1a0, key: 77);
        Credentials own = _guest.Thread.Process.Credentials;
        _guest.Thread.Process.Credentials = Credentials.Of(2000, own.EffectiveGid);
        Attach(id, flags: SHM_RDONLY);
        Assert.Equal(-EACCES, Call(SYS_shmat, id));
        Assert.Equal((long)id, Call(SYS_shmget, 77, 0, 0x124));
        Assert.Equal(-EACCES, Call(SYS_shmget, 77, 0, 0x1b6));
        Assert.Equal(-EINVAL, Call(SYS_shmget, 77, Size + 1, 0x1b6));
        Assert.Equal(-EPERM, Call(SYS_shmctl, id, IPC_RMID));
        _guest.Write(Data, new shmid64_ds { shm_perm = new() { uid = 2000, mode = 0x1ff } });
        Assert.Equal(-EPERM, Call(SYS_shmctl, id, IPC_SET, Data));
        _guest.Thread.Process.Credentials = Credentials.Of(2000, 2000);
        Assert.Equal(-EACCES, Call(SYS_shmat, id, 0, SHM_RDONLY));
        Assert.Equal(-EACCES, Call(SYS_shmctl, id, IPC_STAT, Data));
        // Root of the guest.
        _guest.Thread.Process.Credentials = Credentials.Of(0, 0);
        Attach(id);
        _guest.Write(Data, new shmid64_ds { shm_perm = new() { uid = 2000, gid = 2000, mode = 0x180 } });
        Assert.Equal(0, Call(SYS_shmctl, id, IPC_SET, Data));
        _guest.Thread.Process.Credentials = Credentials.Of(2000, 2000);
        Attach(id);
        Assert.Equal((own.EffectiveUid, 2000u), (Status(id).shm_perm.cuid, Status(id).shm_perm.uid));
        Assert.Equal(0, Call(SYS_shmctl, id, IPC_RMID));
        Assert.Equal(-ENOENT, Call(SYS_shmget, 77, 0, 0));
    }

    [Fact]
    public void Bad_arguments()
    {
        Assert.Equal(-EINVAL, Call(SYS_shmget, IPC_PRIVATE, 0, IPC_CREAT));
        Assert.Equal(-EINVAL, Call(SYS_shmget, IPC_PRIVATE, ulong.MaxValue, IPC_CREAT));
        Assert.Equal(-EINVAL, Call(SYS_shmget, IPC_PRIVATE, 1UL << 63, IPC_CREAT));
        Assert.Equal(-ENOMEM, Call(SYS_shmget, IPC_PRIVATE, Size, IPC_CREAT | SHM_HUGETLB));
        Assert.Equal(-ENOENT, Call(SYS_shmget, 5, Size, 0));
        ulong id = Make(), huge = Make(1UL << 62);
        Assert.Equal(-ENOMEM, Call(SYS_shmat, huge));
        Assert.Equal(0UL, Status(huge).shm_nattch);
        ulong taken = Attach(id);
        Assert.Equal(-EINVAL, Call(SYS_shmat, id, taken));
        Assert.Equal(-EINVAL, Call(SYS_shmat, id, taken + 1, SHM_REMAP));
        Assert.Equal(taken, Attach(id, taken + 1, SHM_REMAP | SHM_RND));
        Assert.Equal(-EINVAL, Call(SYS_shmat, id, 0, SHM_REMAP));
        Assert.Equal(-EINVAL, Call(SYS_shmat, id, 1, SHM_RND));
        Assert.Equal(-EINVAL, Call(SYS_shmat, 12345));
        Assert.Equal(-EINVAL, Call(SYS_shmat, ulong.MaxValue));
        Assert.Equal(-EFAULT, Call(SYS_shmctl, id, IPC_STAT, DirectGuest.Unmapped));
        Assert.Equal(-EFAULT, Call(SYS_shmctl, id, IPC_SET, DirectGuest.Unmapped));
        Assert.Equal(-EINVAL, Call(SYS_shmctl, id, 99, Data));
        Assert.Equal(-EINVAL, Call(SYS_shmctl, 12345, IPC_RMID));
        Assert.Equal(-EINVAL, Call(SYS_shmdt, 0));
    }

    [Fact]
    public void There_are_only_so_many()
    {
        KernelMemory memory = _guest.Personality.KernelMemory;
        long before = memory.Used;
        List<ulong> made = [];
        long id;
        while ((id = Call(SYS_shmget, IPC_PRIVATE, 1, IPC_CREAT)) >= 0)
            made.Add((ulong)id);
        Assert.Equal(-ENOSPC, id);
        Assert.InRange(made.Count, 1000, SHMMNI);
        foreach (ulong one in made)
            Assert.Equal(0, Call(SYS_shmctl, one, IPC_RMID));
        Assert.Equal(before, memory.Used);
        Make();
    }
}
