using Sandbox.Host;
using Sandbox.Vmm.Memory;
using static Sandbox.Host.Libc;

namespace Sandbox.Fuzz.Targets;

/// <summary>
/// What can be mapped: nothing (number 0), three objects in memory, and two files of the host, one that may only be
/// read and one that is only mapped shared (what a private mapping shows of later writes is nobody's promise).
/// </summary>
sealed class MemoryObjects : IDisposable
{
    /// <summary>Of the numbers after 0.</summary>
    public const int Count = 5;

    public const int Pages = 96;
    public const ulong FirstHostInode = 100;

    private const int ReadOnlyFile = 4;
    private const int SharedFile = 5;

    private readonly PagedObject[] _memory;
    private readonly ModelObject[] _models;
    private readonly HostFiles _hostFiles;
    private readonly HostFileMapping _readOnly;
    private readonly HostFileMapping _shared;

    /// <param name="hostFiles">Opened once: they are the same for every input, but for what is written to the
    /// second.</param>
    public MemoryObjects(GuestMemory memory, HostFiles hostFiles)
    {
        _memory = [.. Enumerable.Range(1, ReadOnlyFile - 1).Select(i => memory.CreateObject($"object{i}", 1, (ulong)i,
            quota: null))];
        foreach (PagedObject real in _memory)
            real.SetLength(Pages * Page.Size);
        _models = [.. Enumerable.Range(1, Count).Select(i => new ModelObject(Pages, i < ReadOnlyFile
            ? (ulong)i : FirstHostInode + (ulong)i)
        {
            IsHostFile = i >= ReadOnlyFile,
            MayWrite = i != ReadOnlyFile,
        })];
        for (int page = 0; page < Pages; page++)
            Model(ReadOnlyFile).Content[page] = ModelObject.Filled(HostFiles.ByteOf(page));
        _hostFiles = hostFiles;
        hostFiles.ClearShared();
        _readOnly = new HostFileMapping(hostFiles.ReadOnly, writable: false, "read-only", 1, Model(ReadOnlyFile).Inode);
        _shared = new HostFileMapping(hostFiles.Shared, writable: true, "shared", 1, Model(SharedFile).Inode);
    }

    /// <summary>A write has reached the shared host file.</summary>
    public void NoteHostWrite() => _hostFiles.NoteWritten();

    public ModelObject Model(int number) => _models[number - 1];

    /// <summary>Null for what is not an object in memory.</summary>
    public PagedObject? Real(int number) => number is > 0 and < ReadOnlyFile ? _memory[number - 1] : null;

    /// <summary>
    /// What a mapping of so many pages from a place on is of: a host file is only mapped as far as it goes.
    /// </summary>
    public IMappable? Mappable(int number, bool shared) => number switch
    {
        0 => null,
        ReadOnlyFile => _readOnly,
        SharedFile => shared ? _shared : null,
        _ => _memory[number - 1],
    };

    public void Dispose()
    {
        foreach (PagedObject real in _memory)
            real.Release();
    }

    /// <summary>Host files that live as long as the target.</summary>
    public sealed unsafe class HostFiles
    {
        private bool _isWritten;

        public HostFiles()
        {
            ReadOnly = FileDescriptor.CreateMemory("fuzz read-only", Pages * Page.Size);
            Shared = FileDescriptor.CreateMemory("fuzz shared", Pages * Page.Size);
            byte* content = stackalloc byte[Page.Size];
            for (int page = 0; page < Pages; page++)
            {
                new Span<byte>(content, Page.Size).Fill(ByteOf(page));
                OracleException.Check(
                    pwrite(ReadOnly.Value, content, Page.Size, (long)page * Page.Size) == Page.Size,
                        "writing a host file");
            }
        }

        public FileDescriptor ReadOnly { get; }

        public FileDescriptor Shared { get; }

        public static byte ByteOf(int page) => (byte)(page + 1);

        public void NoteWritten() => _isWritten = true;

        public void ClearShared()
        {
            if (!_isWritten)
                return;
            OracleException.Check(
                ftruncate(Shared.Value, 0) == 0 && ftruncate(Shared.Value, Pages * Page.Size) == 0,
                    "clearing a host file");
            _isWritten = false;
        }
    }
}
