using Sandbox.EndToEnd.Harness;

namespace Sandbox.EndToEnd;

/// <summary>
/// Every program of guests/ prints, natively and in a guest, the same named checks. They must all hold natively, and
/// then byte for byte in the guest.
/// </summary>
public sealed class GuestProgramTests
{
    static readonly string[] s_filePrograms =
        ["files", "locks", "directories", "mappings", "processes", "watches"];

    [Theory]
    [InlineData("hello-static")]
    [InlineData("hello-static-pie")]
    [InlineData("hello-dynamic")]
    [InlineData("hello-dynamic-nopie")]
    [InlineData("exceptions-static")]
    [InlineData("exceptions-dynamic")]
    [InlineData("threads")]
    [InlineData("threads-static")]
    [InlineData("guardpage")]
    [InlineData("altstack")]
    [InlineData("faults")]
    [InlineData("gate")]
    [InlineData("signals")]
    [InlineData("signals-static")]
    [InlineData("vfork")]
    [InlineData("events")]
    [InlineData("futex")]
    [InlineData("pipes")]
    [InlineData("polling")]
    [InlineData("sockets")]
    [InlineData("cow")]
    [InlineData("forkthreads")]
    [InlineData("clocks")]
    [InlineData("random")]
    [InlineData("descriptors")]
    [InlineData("sessions")]
    [InlineData("terminal")]
    [InlineData("segments")]
    public void Program_behaves_as_natively(string program)
    {
        Tool.NeedGuestPrograms();
        new Case($"@guests/{program}") { Input = "one\ntwo\n"u8.ToArray(), Place = Place.Temporary }.MustMatch();
    }

    public static TheoryData<string, string> FilePrograms()
    {
        var rows = new TheoryData<string, string>();
        foreach (string program in s_filePrograms)
            foreach (Place place in Enum.GetValues<Place>())
                rows.Add(program, place.ToString());
        return rows;
    }

    /// <summary>Programs that work on files do so in a host folder and in the guest's own memory.</summary>
    [Theory]
    [MemberData(nameof(FilePrograms))]
    public void File_program_behaves_as_natively(string program, string place)
    {
        Tool.NeedGuestPrograms();
        new Case($"@guests/{program}") { Place = Enum.Parse<Place>(place), WithFiles = true }.MustMatch();
    }

    [Theory]
    [InlineData(nameof(Place.Mounted))]
    [InlineData(nameof(Place.Temporary))]
    public void Proc_and_dev_have_the_shape_that_programs_read(string place)
    {
        Tool.NeedGuestPrograms();
        new Case("@guests/procfs", "one", "two words") { Place = Enum.Parse<Place>(place) }.MustMatch();
    }

    [Fact]
    public void Arguments_environment_and_auxiliary_vector()
    {
        Tool.NeedGuestPrograms();
        new Case("@guests/arguments", "one", "two words", "", "*", "ünïcode", new string('x', 100_000))
        {
            Environment = new Dictionary<string, string> { ["TEST_A"] = "1", ["TEST_B"] = "two = 2", ["TEST_C"] = "" },
        }.MustMatch();
    }

    /// <summary>The speed-up itself is measured by bench/, on a quiet machine; here it is only printed.</summary>
    [Fact]
    public void Two_threads_compute_the_same_results()
    {
        Tool.NeedGuestPrograms();
        Outcome outcome = new Case("@guests/scaling").MustMatch();
        TestContext.Current.SendDiagnosticMessage("in the guest: {0}", outcome.ErrorText.Trim());
        Assert.Contains("speed-up", outcome.ErrorText);
    }

    [Fact]
    public void Every_guest_program_is_run_by_a_test()
    {
        Tool.NeedGuestPrograms();
        string[] run =
        [
            .. TheoryRows(nameof(Program_behaves_as_natively)), .. s_filePrograms,
            "procfs", "arguments", "scaling",
            "misbehave", // LimitTests
            "walk", // EscapeTests
            "hostilecalls", // HostileCallTests
            "vsock", "vsock-static", // the lab's machine guests
        ];
        Assert.Equal([], Directory.GetFiles(Ring.GuestPrograms).Select(Path.GetFileName).Except(run));
    }

    static IEnumerable<string> TheoryRows(string method) =>
        typeof(GuestProgramTests).GetMethod(method)!.GetCustomAttributes(typeof(InlineDataAttribute), false)
            .Cast<InlineDataAttribute>().Select(row => (string)row.Data[0]!);
}
