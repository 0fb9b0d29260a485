using System.Diagnostics;
using Sandbox.Host;
using Sandbox.Vmm.Personality.Loader;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Tests.Loader;

public sealed unsafe class VdsoTests : IDisposable
{
    private const long Second = 1_000_000_000;

    private readonly NativeVdso _vdso = new();

    public void Dispose() => _vdso.Dispose();

    /// <summary>The counter's rate as the host's clock measures it over a moment.</summary>
    private static long MeasureKilohertz(TscSampler sampler)
    {
        ClockSample first = sampler.Take();
        Thread.Sleep(50);
        ClockSample second = sampler.Take();
        return (long)((second.Tsc - first.Tsc) * 1e6 / (second.Monotonic - first.Monotonic));
    }

    private (TscSampler, VdsoClock) Start()
    {
        Assert.SkipUnless(TscSampler.IsInvariant, "the time-stamp counter is not invariant here");
        TscSampler sampler = new(0);
        VdsoClock clock = new(_vdso.Page, MeasureKilohertz(sampler));
        clock.Start(sampler.Take());
        return (sampler, clock);
    }

    private static long HostNanoseconds(int clock)
    {
        timespec time;
        Assert.Equal(0, clock_gettime(clock, &time));
        return time.tv_sec * Second + time.tv_nsec;
    }

    [Theory]
    [InlineData(CLOCK_REALTIME)]
    [InlineData(CLOCK_MONOTONIC)]
    [InlineData(CLOCK_REALTIME_COARSE)]
    [InlineData(CLOCK_MONOTONIC_COARSE)]
    [InlineData(CLOCK_BOOTTIME)]
    public void ClocksAgreeWithTheHosts(int id)
    {
        var (sampler, _) = Start();
        using (sampler)
        {
            int hostId = id switch
            {
                CLOCK_REALTIME_COARSE => CLOCK_REALTIME,
                CLOCK_MONOTONIC_COARSE => CLOCK_MONOTONIC,
                _ => id,
            };
            long worst = long.MaxValue;
            for (int i = 0; i < 100; i++)
            {
                long before = HostNanoseconds(hostId);
                long shown = _vdso.Nanoseconds(id);
                long after = HostNanoseconds(hostId);
                // A preempted attempt says nothing; the best one must be close.
                worst = Math.Min(worst, Math.Max(before - shown, shown - after));
            }
            Assert.InRange(worst, long.MinValue, 20_000);
        }
    }

    [Fact]
    public void ClocksThatThePageDoesNotHaveAreSystemCalls()
    {
        var (sampler, _) = Start();
        using (sampler)
        {
            foreach (int id in new[] { CLOCK_MONOTONIC_RAW, CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID, CLOCK_TAI })
            {
                long before = HostNanoseconds(id);
                long shown = _vdso.Nanoseconds(id);
                Assert.InRange(shown, before, HostNanoseconds(id));
            }
            // A raw SYSCALL: the negative errno itself.
            Assert.Equal(-EINVAL, _vdso.ClockGettime(99, out _));
            Assert.Equal(-EINVAL, _vdso.ClockGettime(int.MinValue, out _));
        }
    }

    [Fact]
    public void WithoutACounterEverythingIsASystemCall()
    {
        VdsoClock clock = new(_vdso.Page, 0);
        clock.Start(new ClockSample(1, 2, 3, 4));
        Assert.False(clock.IsRunning);
        long before = HostNanoseconds(CLOCK_MONOTONIC);
        long shown = _vdso.Nanoseconds(CLOCK_MONOTONIC);
        Assert.InRange(shown, before, HostNanoseconds(CLOCK_MONOTONIC));
        timeval time;
        Assert.Equal(0, _vdso.Gettimeofday(&time, null));
        Assert.InRange(time.tv_sec, HostNanoseconds(CLOCK_REALTIME) / Second - 1, HostNanoseconds(CLOCK_REALTIME) / Second);
        Assert.InRange(_vdso.Time(null), time.tv_sec, time.tv_sec + 1);
        uint cpu;
        Assert.Equal(0, _vdso.Getcpu(&cpu, null));
        Assert.InRange((int)cpu, 0, 4095);
    }

    [Fact]
    public void GettimeofdayAndTimeAgreeWithTheClock()
    {
        var (sampler, _) = Start();
        using (sampler)
        {
            timeval time;
            long zone = -1;
            long before = _vdso.Nanoseconds(CLOCK_REALTIME) / 1000;
            Assert.Equal(0, _vdso.Gettimeofday(&time, &zone));
            long after = _vdso.Nanoseconds(CLOCK_REALTIME) / 1000;
            Assert.InRange(time.tv_sec * 1_000_000 + time.tv_usec, before, after);
            Assert.InRange(time.tv_usec, 0, 999_999);
            Assert.Equal(0, zone);
            zone = -1;
            Assert.Equal(0, _vdso.Gettimeofday(null, &zone));
            Assert.Equal(0, zone);
            long stored;
            long seconds = _vdso.Time(&stored);
            Assert.Equal(seconds, stored);
            Assert.InRange(seconds, before / 1_000_000, after / 1_000_000 + 1);
            Assert.InRange(_vdso.Time(null), seconds, seconds + 1);
        }
    }

    [Theory]
    [InlineData(VvarLayout.CpuAlwaysZero, 1)]
    [InlineData(VvarLayout.CpuFromSegment, 1)]
    [InlineData(VvarLayout.CpuFromSegment, 2)]
    [InlineData(VvarLayout.CpuFromSegment, 256)]
    public void GetcpuIsBelowTheCount(uint mode, int count)
    {
        _vdso.Page.SetCpuSource(mode, count);
        uint cpu = uint.MaxValue, node = uint.MaxValue;
        Assert.Equal(0, _vdso.Getcpu(&cpu, &node));
        Assert.InRange((int)cpu, 0, mode == VvarLayout.CpuAlwaysZero ? 0 : count - 1);
        Assert.Equal(0u, node);
        Assert.Equal(0, _vdso.Getcpu(null, null));
    }

    [Theory]
    [InlineData(999_999_999L, 0L)]
    [InlineData(0L, 999_999_999L)]
    [InlineData(0L, 1_000_000_000L)]
    [InlineData(999_999_999L, 1_000_000_000L)]
    [InlineData(999_999_999L, 3_600_000_000_123L)]
    public void NanosecondsCarryIntoSeconds(long nanoseconds, long elapsed)
    {
        // A multiplier of 0 stops the clock, so that what is computed is known to the nanosecond.
        long start = 5 * Second + nanoseconds;
        _vdso.Page.SetTimes(new VvarTimes
        {
            UseTsc = true, CycleLast = 0, Multiplier = 0, Shift = 40, Monotonic = start, Realtime = start + elapsed,
        });
        Assert.Equal(start, _vdso.Nanoseconds(CLOCK_MONOTONIC));
        Assert.Equal(start + elapsed, _vdso.Nanoseconds(CLOCK_REALTIME));
        // One nanosecond for each 2^20 cycles since zero, which on any running machine is a carry of many seconds or
        // none at all: the code must do what the formula says.
        using TscSampler sampler = new(0);
        _vdso.Page.SetTimes(new VvarTimes
        {
            UseTsc = true, CycleLast = 0, Multiplier = 1UL << 43, Shift = 40, Monotonic = start,
        });
        long before = start + (long)(sampler.ReadHostTsc() * 8);
        long shown = _vdso.Nanoseconds(CLOCK_MONOTONIC);
        Assert.InRange(shown, before, start + (long)(sampler.ReadHostTsc() * 8));
    }

    [Fact]
    public void ACounterBeforeTheBaseCountsAsTheBase()
    {
        _vdso.Page.SetTimes(new VvarTimes
        {
            UseTsc = true, CycleLast = ulong.MaxValue, Multiplier = 1UL << 39, Shift = 40, Monotonic = 7 * Second,
        });
        Assert.Equal(7 * Second, _vdso.Nanoseconds(CLOCK_MONOTONIC));
    }

    [Fact]
    public void MonotonicNeverGoesBackWhileTheLineIsBent()
    {
        var (sampler, clock) = Start();
        using (sampler)
        {
            bool stop = false;
            long reads = 0, backwards = 0;
            Thread[] readers = [.. Enumerable.Range(0, 2).Select(_ => new Thread(() =>
            {
                long last = 0, count = 0;
                nint function = _vdso.Find("__vdso_clock_gettime");
                while (!Volatile.Read(ref stop))
                {
                    timespec time;
                    ((delegate* unmanaged<int, timespec*, int>)function)(CLOCK_MONOTONIC, &time);
                    long now = time.tv_sec * Second + time.tv_nsec;
                    if (now < last)
                        Interlocked.Increment(ref backwards);
                    last = now;
                    count++;
                }
                Interlocked.Add(ref reads, count);
            }))];
            foreach (Thread reader in readers)
                reader.Start();
            Stopwatch watch = Stopwatch.StartNew();
            int updates = 0;
            // Samples that lie by up to 30 us either way, far more often than in earnest.
            Random random = new(1);
            while (watch.ElapsedMilliseconds < 400)
            {
                ClockSample sample = sampler.Take();
                long lie = random.Next(-30_000, 30_000);
                clock.Update(
                    sample with { Monotonic = sample.Monotonic + lie, Realtime = sample.Realtime + lie },
                    sampler.ReadGuestTsc);
                updates++;
                Thread.SpinWait(200);
            }
            Volatile.Write(ref stop, true);
            foreach (Thread reader in readers)
                reader.Join();
            Assert.True(clock.IsRunning);
            Assert.Equal(0, backwards);
            Assert.True(reads > 1000 && updates > 100, $"{reads} reads, {updates} updates");
        }
    }

    [Fact]
    public void TheImageIsWhatReadelfExpects()
    {
        const string readelf = "/usr/bin/readelf";
        Assert.SkipUnless(File.Exists(readelf), "binutils are not installed");
        string path = Path.GetTempFileName();
        try
        {
            File.WriteAllBytes(path, VdsoBytes.Bytes);
            using Process process = Process.Start(new ProcessStartInfo(readelf, ["-aW", path])
            {
                RedirectStandardOutput = true, RedirectStandardError = true,
            })!;
            string output = process.StandardOutput.ReadToEnd();
            Assert.Equal("", process.StandardError.ReadToEnd());
            process.WaitForExit();
            Assert.Equal(0, process.ExitCode);
            Assert.DoesNotContain("arning", output);
            foreach (string name in new[] { "clock_gettime", "gettimeofday", "time", "getcpu" })
            {
                Assert.Matches($@"FUNC\s+GLOBAL\s+DEFAULT\s+\d+ __vdso_{name}@@LINUX_2.6", output);
                Assert.Matches($@"FUNC\s+WEAK\s+DEFAULT\s+\d+ {name}@@LINUX_2.6", output);
            }
            Assert.Contains("Library soname: [linux-vdso.so.1]", output);
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void TheDynamicLoaderFindsTheFunctions()
    {
        // glibc looks symbols up through DT_GNU_HASH and checks versions: dlvsym does all of that.
        string path = Path.GetTempFileName();
        try
        {
            File.WriteAllBytes(path, VdsoBytes.Bytes);
            nint handle = System.Runtime.InteropServices.NativeLibrary.Load(path);
            foreach (string name in new[] { "clock_gettime", "gettimeofday", "time", "getcpu" })
            {
                nint function = System.Runtime.InteropServices.NativeLibrary.GetExport(handle, "__vdso_" + name);
                Assert.Equal(function, System.Runtime.InteropServices.NativeLibrary.GetExport(handle, name));
                Assert.Equal(_vdso.Find(name) - (nint)_vdso.Image, _vdso.Find("__vdso_" + name) - (nint)_vdso.Image);
            }
            System.Runtime.InteropServices.NativeLibrary.Free(handle);
        }
        finally
        {
            File.Delete(path);
        }
    }
}
