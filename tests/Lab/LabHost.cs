using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using Sandbox.EndToEnd.Harness;

namespace Sandbox.Lab;

/// <summary>
/// A Linux host with hardware virtualization, emulated by QEMU, that runs commands and says exactly how they ended.
/// Its files are this machine's, read-only; the repository is at <see cref="Repository"/>. It ends with
/// this object, and with this process whatever happens to it.
/// </summary>
/// <remarks>
/// A case is a folder in one that both sides share: <c>run</c> and <c>input</c> from here, <c>status</c>,
/// <c>stdout</c> and <c>stderr</c> from there. Numbers of cases travel over a serial port: QEMU's standard streams.
/// </remarks>
sealed class LabHost : IDisposable
{
    /// <summary>Where the repository is in the lab host.</summary>
    public const string Repository = "/tmp/repository";

    static readonly TimeSpan s_bootLimit = TimeSpan.FromSeconds(300);

    /// <summary>
    /// How often a host with something to do is interrupted from outside. QEMU's SVM now and then loses an interrupt of
    /// the timer while a guest runs; a kernel that asks for one tick after the other waits for ever then, unless some
    /// other interrupt comes.
    /// </summary>
    static readonly TimeSpan s_pulse = TimeSpan.FromSeconds(2);

    readonly string _folder;
    readonly ConcurrentDictionary<int, TaskCompletionSource> _running = new();
    readonly TaskCompletionSource<Process> _started = new();
    readonly TaskCompletionSource _ready = new();
    readonly Thread _qemu;
    readonly Process _process;
    int _cases;

    /// <exception cref="InvalidOperationException">It does not start; the message holds what it said.</exception>
    public LabHost(LabHostOptions options)
    {
        _folder = Path.Combine(Laboratory.Logs, options.Name);
        if (Directory.Exists(_folder))
            Directory.Delete(_folder, recursive: true);
        Directory.CreateDirectory(Path.Combine(_folder, "cases"));
        if (options.HasScratch)
            MakeScratch();
        _qemu = new Thread(() => RunQemu(options)) { IsBackground = true, Name = $"QEMU {options.Name}" };
        _qemu.Start();
        _process = _started.Task.GetAwaiter().GetResult();
        try
        {
            if (!_ready.Task.Wait(s_bootLimit))
                throw new TimeoutException($"it did not boot in {s_bootLimit.TotalSeconds} s");
        }
        catch (Exception failure) when (failure is TimeoutException or AggregateException)
        {
            Dispose();
            throw new InvalidOperationException($"the lab host does not start; {Said()}", failure);
        }
    }

    /// <summary>Runs a command as root, in an empty folder of its own.</summary>
    /// <param name="limit">After this the command is killed, and the outcome says so.</param>
    public Outcome Run(IReadOnlyList<string> command, byte[]? input = null, TimeSpan? limit = null)
    {
        int seconds = (int)(limit ?? TimeSpan.FromSeconds(100)).TotalSeconds;
        int number = Interlocked.Increment(ref _cases);
        string folder = Path.Combine(_folder, "cases", number.ToString(CultureInfo.InvariantCulture));
        Directory.CreateDirectory(folder);
        File.WriteAllBytes(Path.Combine(folder, "input"), input ?? []);
        File.WriteAllText(Path.Combine(folder, "run"),
            $"""
            export PATH=/usr/local/bin:/usr/bin:/bin HOME="$PWD" LANG=C.UTF-8 DOTNET_ROOT={Laboratory.DotnetRoot}
            exec timeout -s KILL {seconds} {string.Join(' ', command.Select(Quote))}

            """);
        long started = Stopwatch.GetTimestamp();
        TaskCompletionSource ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
        _running[number] = ended;
        Send(number.ToString(CultureInfo.InvariantCulture));
        // The lab host's own limit comes first, unless the host itself hangs.
        while (!ended.Task.Wait(s_pulse) && Stopwatch.GetElapsedTime(started).TotalSeconds < seconds + 30)
            Send("");
        if (!ended.Task.IsCompleted)
            throw new InvalidOperationException($"case {number} never came back; {Said()}");
        byte[] Read(string name) => File.ReadAllBytes(Path.Combine(folder, name));
        TimeSpan wall = Stopwatch.GetElapsedTime(started);
        int status = int.Parse(File.ReadAllText(Path.Combine(folder, "status")), CultureInfo.InvariantCulture);
        return new Outcome(string.Join(' ', command), status, Read("stdout"), Read("stderr"), wall, TimeSpan.Zero,
            TimedOut: status == 137 && wall.TotalSeconds >= seconds, []);
    }

    void Send(string line)
    {
        lock (_running)
        {
            _process.StandardInput.Write($"{line}\n");
            _process.StandardInput.Flush();
        }
    }

    public void Dispose()
    {
        // The port's end makes it power off.
        _process.StandardInput.Close();
        if (!_process.WaitForExit(TimeSpan.FromSeconds(10)))
            _process.Kill();
        _qemu.Join();
        _process.Dispose();
        File.Delete(Scratch);
    }

    /// <summary>
    /// The life of QEMU. It is told to die when the thread that started it ends, so that thread waits for it, and lives
    /// no longer than this process.
    /// </summary>
    void RunQemu(LabHostOptions options)
    {
        Process process;
        try
        {
            ProcessStartInfo start = new("setpriv", Arguments(options))
            {
                RedirectStandardInput = true,
                RedirectStandardOutput = true,
                RedirectStandardError = true,
            };
            process = Process.Start(start)!;
        }
        catch (Exception failure)
        {
            _started.SetException(failure);
            return;
        }
        string log = Path.Combine(_folder, "qemu.log");
        process.ErrorDataReceived += (_, line) => File.AppendAllText(log, $"{line.Data}\n");
        process.BeginErrorReadLine();
        _started.SetResult(process);
        while (process.StandardOutput.ReadLine() is string line)
        {
            if (line == "ready")
                _ready.TrySetResult();
            else if (int.TryParse(line, CultureInfo.InvariantCulture, out int number)
                && _running.TryRemove(number, out TaskCompletionSource? ended))
                ended.SetResult();
        }
        process.WaitForExit();
        InvalidOperationException gone = new($"QEMU has ended with status {process.ExitCode}; {Said()}");
        _ready.TrySetException(gone);
        foreach (TaskCompletionSource ended in _running.Values)
            ended.TrySetException(gone);
    }

    string[] Arguments(LabHostOptions options) =>
    [
        "--pdeathsig", "KILL", "qemu-system-x86_64",
        "-accel", "tcg,thread=single", "-cpu", string.Join(',', ["max", "+svm", "+npt", .. options.Processor]),
        "-M", "q35", "-smp", options.Processors.ToString(CultureInfo.InvariantCulture),
        "-m", options.Memory.ToString(CultureInfo.InvariantCulture), "-nodefaults", "-display", "none", "-no-reboot",
        "-kernel", Path.Combine(Laboratory.ImageOf(options), "vmlinuz"),
        "-initrd", Path.Combine(Laboratory.ImageOf(options), "initramfs"),
        // The emulated timer may be late while this machine is busy, and the emulated time-stamp counter is one for all,
        // and this machine's: a lab host that measures it with such a timer has a clock that goes wrong all its life.
        "-append", $"console=ttyS0 quiet panic=-1 no_timer_check tsc=reliable tsc_early_khz={Laboratory.CounterRate}",
        "-serial", $"file:{Path.Combine(_folder, "console.log")}",
        "-chardev", "stdio,id=cases,signal=off", "-device", "virtio-serial", "-device", "virtserialport,chardev=cases",
        .. Share("host", "/", readOnly: true), .. Share("repository", Laboratory.Root, readOnly: true),
        .. Share("cases", Path.Combine(_folder, "cases"), readOnly: false),
        .. options.HasScratch
            ? ["-drive", $"file={Scratch},if=none,id=scratch,format=raw,cache=unsafe", "-device", "virtio-blk-pci,drive=scratch"]
            : Array.Empty<string>(),
        .. options.Arguments,
    ];

    string Scratch => Path.Combine(_folder, "scratch");

    /// <summary>Sparse: as large on this machine as what is written to it. The init script looks for its label.</summary>
    void MakeScratch()
    {
        using (FileStream file = File.Create(Scratch))
            file.SetLength(16L << 30);
        Assert.True(Laboratory.Made(out string said, "mkfs.ext4", "-q", "-F", "-L", "scratch", Scratch), said);
    }

    static string[] Share(string tag, string path, bool readOnly) =>
    [
        "-virtfs",
        $"local,path={path},mount_tag={tag},security_model=none,multidevs=remap,readonly={(readOnly ? "on" : "off")}",
    ];

    /// <summary>The end of what it and its kernel wrote.</summary>
    string Said() => $"its logs are in {_folder}:\n" + string.Concat(
        new[] { "qemu.log", "console.log" }.Select(name => Path.Combine(_folder, name)).Where(File.Exists)
            .Select(path => Difference.Shorten(File.ReadAllText(path))));

    static string Quote(string word) => $"'{word.Replace("'", "'\\''")}'";
}
