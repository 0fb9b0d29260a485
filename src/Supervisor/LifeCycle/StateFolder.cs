using System.Text;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Supervisor.Audit;
using Sandbox.Supervisor.Jail.Facts;
using Sandbox.Supervisor.Launch;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.LifeCycle;

/// <summary>
/// The folder of one sandbox. Its supervisor holds a lock on it for as long as it lives: that, and no number of a
/// process, says that the sandbox runs. Whoever gets the lock may remove the folder.
/// </summary>
sealed unsafe class StateFolder : IDisposable
{
    const uint FileMode = 0x180; // rw-------
    const string RecordName = "record";

    /// <summary>The socket on which its supervisor takes orders.</summary>
    public const string ControlName = "control";

    /// <summary>The policy's text, after composition and without origins.</summary>
    const string PolicyName = "policy";

    /// <summary>What the guest wrote to each of its streams: <see cref="LogRing"/>.</summary>
    public const string OutputName = "stdout";

    /// <inheritdoc cref="OutputName"/>
    public const string ErrorName = "stderr";

    /// <summary>Bytes of a policy's text, which a policy's own bounds keep below.</summary>
    const int MaximumPolicy = 16 << 20;
    const string NewRecordName = "record.new";
    const string JailName = "jail";

    /// <summary>What the VMM has counted, when it was asked last or at the end.</summary>
    const string CountsName = "counts";
    const string NewCountsName = "counts.new";

    /// <summary>A lock that somebody has who only looks is tried again so often, a millisecond apart.</summary>
    const int LockTries = 100;

    /// <summary>All files that a folder can hold.</summary>
    static readonly string[] s_files =
        [
            RecordName, NewRecordName, ControlName, PolicyName, JailName, CountsName, NewCountsName, OutputName,
            ErrorName,
        ];

    readonly FileDescriptor _place;
    readonly FileDescriptor _folder;

    /// <summary>Whose files are read; null for whatever is there, in a place of this user's own.</summary>
    readonly uint? _owner;

    StateFolder(FileDescriptor place, FileDescriptor folder, SandboxId id, uint? owner)
    {
        _place = place;
        _folder = folder;
        _owner = owner;
        Id = id;
    }

    public SandboxId Id { get; }

    /// <summary>Makes the folder of a new sandbox, locked.</summary>
    /// <param name="place">Stays the caller's, and open for as long as this is used.</param>
    /// <returns>0 or a negative error number.</returns>
    public static int TryMake(FileDescriptor place, SandboxId id, out StateFolder? made)
    {
        made = null;
        for (int tries = 0; tries < LockTries; tries++)
        {
            fixed (byte* name = Name(id.ToString()))
                if (mkdirat(place.Value, name, StatePlace.FolderMode) != 0 && (errno != EEXIST || tries == 0))
                    return -errno;
            int error = TryOpen(place, id, out StateFolder? folder);
            if (error == 0)
            {
                if (folder!.TryLock(LOCK_EX) && !folder.IsRemoved)
                {
                    made = folder;
                    return 0;
                }

                // Somebody looks at the new folder, or has taken it for one that was left and removed it.
                folder.Dispose();
                Thread.Sleep(1);
            }
            else if (error != -ENOENT)
                return error;
        }

        return -EBUSY;
    }

    /// <summary>Opens a folder that is there, without a lock.</summary>
    /// <param name="owner">Of another user's: files that are not his are not read.</param>
    /// <returns>0 or a negative error number.</returns>
    public static int TryOpen(FileDescriptor place, SandboxId id, out StateFolder? opened, uint? owner = null)
    {
        int error = FileDescriptor.TryOpenAt(
            place, id.ToString(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, out FileDescriptor? folder);
        opened = error == 0 ? new StateFolder(place, folder!, id, owner) : null;
        return error;
    }

    /// <summary>Whether its supervisor lives.</summary>
    public bool IsAlive
    {
        get
        {
            if (!TryLock(LOCK_SH))
                return true;
            Unlock();
            return false;
        }
    }

    /// <summary>Takes the folder of a sandbox that does not run; false when it does.</summary>
    public bool TryTake()
    {
        for (int tries = 0; !TryLock(LOCK_EX); tries++)
        {
            // Whoever only looks is done in no time.
            if (tries == LockTries || IsAlive)
                return false;
            Thread.Sleep(1);
        }

        return true;
    }

    bool TryLock(int kind)
    {
        int result;
        do
            result = flock(_folder.Value, kind | LOCK_NB);
        while (result != 0 && errno == EINTR);
        return result == 0;
    }

    void Unlock() => _ = flock(_folder.Value, LOCK_UN);

    /// <summary>Whether nothing is known of the sandbox any more.</summary>
    public bool IsRemoved => _folder.GetStatus(out stat status) != 0 || status.st_nlink == 0;

    /// <summary>Replaces the record in one step, so that nobody ever reads half of one.</summary>
    /// <returns>0 or a negative error number.</returns>
    public int Write(SandboxRecord record) => Replace(RecordName, NewRecordName, RecordText.Write(record));

    /// <summary>Replaces what was counted in one step.</summary>
    /// <returns>0 or a negative error number.</returns>
    public int WriteCounts(in GuestRecord counts) => Replace(CountsName, NewCountsName, GuestRecordFile.Bytes(counts));

    /// <summary>What was counted; null when nothing was, or nothing that this version can read.</summary>
    public GuestRecord? ReadCounts() =>
        Read(CountsName, GuestRecordFile.Length) is byte[] bytes ? GuestRecordFile.Parse(bytes) : null;

    int Replace(string name, string newName, byte[] content)
    {
        int error = Write(newName, content);
        fixed (byte* from = Name(newName), to = Name(name))
        {
            if (error == 0 && renameat(_folder.Value, from, _folder.Value, to) != 0)
                error = -errno;
            if (error != 0)
                unlinkat(_folder.Value, from, 0);
        }

        return error;
    }

    /// <summary>Adds a line to what is to be found of the jail: <see cref="ExpectationText"/>.</summary>
    /// <returns>0 or a negative error number.</returns>
    public int WriteJail(ReadOnlySpan<byte> line)
    {
        int error = FileDescriptor.TryOpenAt(
            _folder, JailName, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, FileMode, out FileDescriptor? file);
        if (error != 0)
            return error;
        using (file)
        {
            nint written = file!.Write(line);
            return written == line.Length ? 0 : written < 0 ? (int)written : -ENOSPC;
        }
    }

    /// <summary>
    /// What is to be found of the jail; null when nothing is there, or nothing that this version can read.
    /// </summary>
    public JailExpectation? ReadJail() =>
        Read(JailName, ExpectationText.MaximumBytes) is byte[] text ? ExpectationText.Parse(text) : null;

    /// <summary>What the record says; null when there is none, or none that this version can read.</summary>
    public SandboxRecord? Read() =>
        Read(RecordName, RecordText.MaximumBytes) is byte[] text && RecordText.Parse(text) is SandboxRecord record
        && record.Id == Id ? record : null;

    /// <returns>0 or a negative error number.</returns>
    public int WritePolicy(byte[] text) => Write(PolicyName, text);

    /// <summary>The policy's text, as UTF-8; null when there is none. Nothing of it is checked.</summary>
    public byte[]? ReadPolicy() => Read(PolicyName, MaximumPolicy);

    /// <summary>A file in it; only its owner may read it.</summary>
    /// <returns>0 or a negative error number.</returns>
    public int TryMakeFile(string name, out FileDescriptor? file) => FileDescriptor.TryOpenAt(
        _folder, name, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK, FileMode, out file);

    /// <summary>Null when there is no such regular file.</summary>
    public FileDescriptor? OpenFile(string name)
    {
        if (FileDescriptor.TryOpenAt(
            _folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, out FileDescriptor? file) != 0)
            return null;
        if (file!.GetStatus(out stat status) == 0
            && S_ISREG(status.st_mode)
            && (_owner ?? status.st_uid) == status.st_uid)
            return file;
        file.Dispose();
        return null;
    }

    /// <summary>A path to a file in it, for this process, short whatever the folder's own is.</summary>
    public string PathOf(string name) => $"/proc/self/fd/{_folder.Value}/{name}";

    /// <summary>Of the control socket.</summary>
    /// <returns>0 or a negative error number.</returns>
    public int SetSocketMode(uint mode)
    {
        fixed (byte* name = Name(ControlName))
            return fchmodat(_folder.Value, name, mode, 0) == 0 ? 0 : -errno;
    }

    int Write(string name, byte[] content)
    {
        int error = TryMakeFile(name, out FileDescriptor? file);
        if (error != 0)
            return error;
        using (file)
            return PrivateFile.WriteAt(file!, content, 0);
    }

    byte[]? Read(string name, int most)
    {
        using FileDescriptor? file = OpenFile(name);
        if (file is null || file.GetStatus(out stat status) != 0 || status.st_size <= 0 || status.st_size > most)
            return null;
        byte[] content = new byte[status.st_size];
        nint length;
        do
            length = file.ReadAt(content, 0);
        while (length == -EINTR);
        return length == content.Length ? content : null;
    }

    /// <summary>Nobody is to connect any more.</summary>
    public void RemoveControl()
    {
        fixed (byte* name = Name(ControlName))
            unlinkat(_folder.Value, name, 0);
    }

    /// <summary>Removes it with all that belongs in it. The caller has it locked.</summary>
    /// <returns>0 or a negative error number: -ENOTEMPTY when it holds what no sandbox puts there.</returns>
    public int Remove()
    {
        foreach (string file in s_files)
            fixed (byte* name = Name(file))
                if (unlinkat(_folder.Value, name, 0) != 0 && errno is not (ENOENT or EISDIR))
                    return -errno;
        fixed (byte* name = Name(Id.ToString()))
            return unlinkat(_place.Value, name, AT_REMOVEDIR) == 0 || errno == ENOENT ? 0 : -errno;
    }

    public void Dispose()
    {
        // A child of this process has the descriptor too, and with it the lock, until its execve.
        Unlock();
        _folder.Dispose();
    }

    static byte[] Name(string name) => Encoding.ASCII.GetBytes(name + '\0');
}
