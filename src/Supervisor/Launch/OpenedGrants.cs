using Sandbox.Host;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.Audit;
using Sandbox.Supervisor.CommandLine;
using Sandbox.Supervisor.Images;
using Sandbox.Supervisor.Machine;
using Sandbox.Supervisor.Planning;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Launch;

/// <summary>Owns every descriptor opened for one plan.</summary>
sealed class OpenedGrants : IDisposable
{
    readonly List<MountSource> _mounts = [];
    readonly List<FileDescriptor> _mountFiles = [];
    readonly List<FileDescriptor> _others = [];

    public IReadOnlyList<MountSource> Mounts => _mounts;

    SeqpacketChannel? _broker;

    /// <summary>The supervisor's end of the network channel, from then on the caller's to close.</summary>
    public SeqpacketChannel TakeBroker()
    {
        SeqpacketChannel broker = _broker ?? throw new InvalidOperationException("no network was granted");
        _broker = null;
        return broker;
    }

    /// <summary>The result file, once opened and if the caller wants one.</summary>
    public ResultFile? Result { get; private set; }

    /// <summary>Where the host reaches a machine guest, not at its path yet; null where there is none.</summary>
    public VsockListener? Vsock { get; private set; }

    /// <summary>What a machine guest's connections lead to; null where its policy gives no path.</summary>
    /// <param name="decisions">Hears of each connection; null for nobody.</param>
    public VsockServices? Services(IDecisionSink? decisions) =>
        Vsock is null ? null : new VsockServices(Vsock.Rule, decisions);

    /// <summary>Where the VMM writes what it has counted, once opened.</summary>
    public FileDescriptor? Counts { get; private set; }

    /// <param name="shown">The policy's entry that asks for it; null for the command line's.</param>
    public void AddMount((MountSource Source, FileDescriptor File) mount, ShownFile? shown)
    {
        _mounts.Add(mount.Source with { Shown = shown });
        _mountFiles.Add(mount.File);
    }

    /// <param name="decisions">
    /// The VMM's end of the socket for decisions, which stays the caller's; null when there is none.
    /// </param>
    /// <returns>The plan's descriptors in order; the others stay this object's.</returns>
    public FileDescriptor[] Open(IReadOnlyList<Grant> grants, RunOptions options, FileDescriptor? decisions)
    {
        var descriptors = new FileDescriptor[grants.Count];
        for (int i = 0; i < descriptors.Length; i++)
        {
            descriptors[i] = grants[i] switch
            {
                Grant.Mount mount => _mountFiles[mount.Index],
                Grant.SystemPath path => Keep(OpenSystem(path)),
                Grant.StandardStream stream => Keep(OpenStream(stream.Number)),
                Grant.Result => OpenResult(options.ResultFile),
                Grant.Broker => Keep(OpenBroker()),
                Grant.Trace => Keep(OpenTrace(options.TraceFile!)),
                Grant.Decisions => decisions!,
                Grant.BootFile boot => Keep(OpenBootFile(boot)),
                Grant.VsockListener vsock => OpenVsock(vsock.Rule),
                Grant.Tap tap => Keep(TapOpener.Open(tap.Name, tap.IsOneOfSeveral)),
                Grant.AgentInitrd agent => Keep(AgentInitramfs.Build(descriptors[agent.Kernel], agent)),
                _ => throw new InvalidOperationException($"unknown grant {grants[i]}"),
            };
        }

        return descriptors;
    }

    public void Dispose()
    {
        foreach (FileDescriptor file in _mountFiles.Concat(_others))
            file.Dispose();
        Result?.Dispose();
        _broker?.Dispose();
        Vsock?.Dispose();
    }

    FileDescriptor Keep(FileDescriptor file)
    {
        _others.Add(file);
        return file;
    }

    FileDescriptor OpenResult(string? path)
    {
        if (path is not null)
            Result = ResultFile.Open(path);
        Counts = Keep(GuestRecordFile.Create());
        return Counts;
    }

    FileDescriptor OpenBroker()
    {
        (FileDescriptor mine, FileDescriptor theirs) = SeqpacketChannel.CreatePair();
        _broker = new SeqpacketChannel(mine);
        return theirs;
    }

    FileDescriptor OpenVsock(DeviceRule rule)
    {
        Vsock = VsockListener.Make(rule);
        return Vsock.Socket;
    }

    static FileDescriptor OpenSystem(Grant.SystemPath path) =>
        FileDescriptor.Open(path.Path, path.IsDirectory ? O_PATH | O_DIRECTORY : O_RDONLY | O_NOCTTY);

    static FileDescriptor OpenTrace(string path)
    {
        if (path == RunOptions.TraceToStderr)
            return CallerFile.Copy(STDERR_FILENO);
        int error = CallerFile.TryOpen(
            path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_NOCTTY, 0x1b6, out FileDescriptor? file);
        return error == 0 ? file! : throw new UsageException(
            $"--trace: {Quote.Value(path)} cannot be written: {CallerFile.Why(error)}; name a file in a folder you may "
                + "write to");
    }

    static FileDescriptor OpenBootFile(Grant.BootFile boot)
    {
        // A pipe would make opening wait.
        if (boot.Writable && Directory.Exists(boot.Path))
            throw new UsageException(
                $"{boot.Flag}: {Quote.Value(boot.Path)} is a directory, of which the guest gets an image that it "
                    + "cannot change; leave out :rw");
        int error = FileDescriptor.TryOpen(
            boot.Path, (boot.Writable ? O_RDWR : O_RDONLY) | O_NOCTTY | O_NONBLOCK, 0, out FileDescriptor? file);
        if (error != 0)
            throw new UsageException($"{boot.Flag}: {Quote.Value(boot.Path)} cannot be "
                + $"{(boot.Writable ? "written" : "read")}: {CallerFile.Why(error)}");
        error = file!.GetStatus(out stat status);
        if (error == 0 && boot.Flag == "--root" && S_ISDIR(status.st_mode))
            using (file)
                return ImageCache.Own.Open(file, boot.Path);
        bool isDisk = boot.IsDisk && S_ISBLK(status.st_mode);
        bool isUseful = error == 0 && (isDisk || (S_ISREG(status.st_mode) && status.st_size > 0));
        if (isUseful && (!boot.IsDisk || TryShare(file, boot.Writable)))
            return file;
        file.Dispose();
        throw new UsageException($"{boot.Flag}: {Quote.Value(boot.Path)} " + (!isUseful
            ? "is not a file that has anything in it"
            : boot.Writable
                ? "is a disk of a guest that runs; only one that it alone has can be written"
                : "is written by a guest that runs; wait for its end, or give this one a copy"));
    }

    /// <summary>
    /// Two who write to one disk, or one who reads what another writes, see a file system that is none. The lock goes with the
    /// open file, of which the VMM has the last descriptor. Where there are no locks nobody can tell.
    /// </summary>
    static bool TryShare(FileDescriptor disk, bool writable) =>
        flock(disk.Value, (writable ? LOCK_EX : LOCK_SH) | LOCK_NB) == 0 || errno != EWOULDBLOCK;

    /// <summary>
    /// A terminal is opened anew, without waiting: a call that fills it would hold a guest's thread where no signal
    /// reaches it, and the caller's open file is not the guest's to change. One that belongs to another user is used as
    /// it is.
    /// </summary>
    static FileDescriptor OpenStream(int number)
    {
        FileDescriptor copy = CallerFile.Copy(number);
        if (isatty(number) == 0)
            return copy;
        int access = fcntl(number, F_GETFL, 0) & O_ACCMODE;
        if (copy.TryReopen(access | O_NONBLOCK | O_NOCTTY, out FileDescriptor? terminal) != 0)
            return copy;
        copy.Dispose();
        return terminal!;
    }
}
