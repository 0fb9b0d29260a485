namespace Sandbox.Vmm.Memory;

/// <summary>
/// Something mmap(2) can map: pages of the guest's own memory (<see cref="PagedObject"/>: tmpfs files, memfd, shared
/// anonymous memory) or a host file (<see cref="HostFileMapping"/>).
/// </summary>
public interface IMappable
{
    /// <summary>The name that /proc/self/maps shows.</summary>
    string MappingName { get; }

    /// <summary>Device and inode as /proc/self/maps shows them.</summary>
    (ulong Device, ulong Inode) Identity { get; }
}

/// <summary>Somebody who counts who still has a file's content.</summary>
internal interface IContentHold
{
    void Acquire();

    void Release();
}

/// <summary>What a mapping holds on to while it exists; each mapping owns one reference.</summary>
internal interface IMappingBacking : IMappable
{
    void Acquire();

    void Release();
}
