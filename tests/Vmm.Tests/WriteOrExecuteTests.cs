using System.Diagnostics;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Text;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Tests;

/// <summary>PR_SET_MDWE, in a process of its own: it holds for ever, and a test runner compiles code.</summary>
public sealed unsafe class WriteOrExecuteTests
{
    const string Variable = "SANDBOX_TEST_REFUSES_EXECUTABLE_MEMORY";

    [Fact]
    public void WhatIsWrittenIsNeverExecuted()
    {
        ProcessStartInfo start = new(Environment.ProcessPath!) { RedirectStandardOutput = true };
        start.Environment[Variable] = "1";
        using Process child = Process.Start(start)!;
        string[] words = child.StandardOutput.ReadToEnd().Split();
        Assert.True(child.WaitForExit(60_000), "the child did not end");
        Assert.True(words.Length >= 4, string.Join(' ', words));
        // The control: nothing but the call itself refuses what follows.
        Assert.Equal("allowed", words[0]);
        Assert.SkipUnless(words[1] == "True", "this kernel has no PR_SET_MDWE; it came with Linux 6.3");
        Assert.Equal([$"{PR_MDWE_REFUSE_EXEC_GAIN}", "refused"], words[2..4]);
    }

    /// <summary>The child, instead of its tests.</summary>
    [ModuleInitializer]
#pragma warning disable CA2255 // This is a program.
    internal static void BeTheChild()
#pragma warning restore CA2255
    {
        if (Environment.GetEnvironmentVariable(Variable) is null)
            return;
        // Whatever is called from here on is compiled by now: it could not be, later.
        Say(Try() + " ");
        _ = Line(true, 0, "");
        _ = prctl(PR_GET_MDWE, 0, 0, 0, 0);
        RuntimeHelpers.PrepareMethod(typeof(GuestSession).GetMethod(
            nameof(GuestSession.RefuseExecutableMemory), BindingFlags.Static | BindingFlags.NonPublic)!.MethodHandle);
        bool isKnown = GuestSession.RefuseExecutableMemory();
        int flags = prctl(PR_GET_MDWE, 0, 0, 0, 0);
        string after = Try();
        Say(Line(isKnown, flags, after));
        _exit(0);
    }

    static string Line(bool isKnown, int flags, string after) => $"{isKnown} {flags} {after} ";

    static string Try()
    {
        void* page = mmap(null, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        string end = mprotect(page, 4096, PROT_READ | PROT_EXEC) == 0 ? "allowed" : "refused";
        munmap(page, 4096);
        return end;
    }

    static void Say(string text)
    {
        byte[] bytes = Encoding.ASCII.GetBytes(text);
        fixed (byte* first = bytes)
            _ = write(1, first, (nuint)bytes.Length);
    }
}
