using System.Text;
using Sandbox.Host;
using Sandbox.Vmm.Personality.Terminals;
using Sandbox.Vmm.Personality.Waiting;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Tests.Ipc;

/// <summary>
/// The line discipline. Key codes: ^C 3, ^D 4, ^H 8, ^Q 17, ^R 18, ^S 19, ^U 21, ^V 22, ^W 23, DEL 127.
/// </summary>
public class TerminalTests
{
    private readonly Terminal _terminal = Terminal.TryCreate(Objects.Memory(), null, 0)!;

    private void Type(string keys) => _terminal.Receive(Encoding.Latin1.GetBytes(keys));

    private string? Read(int size = 100, bool nonBlocking = false)
    {
        byte[] buffer = new byte[size];
        long count = _terminal.Read(buffer, nonBlocking);
        if (count == -EAGAIN)
            return null;
        Assert.InRange(count, 0, size);
        return Encoding.Latin1.GetString(buffer, 0, (int)count);
    }

    private string Shown()
    {
        byte[] buffer = new byte[20000];
        return Encoding.Latin1.GetString(buffer, 0, _terminal.TakeOutput(buffer));
    }

    private delegate void Change(ref termios settings);

    private void Configure(Change change)
    {
        termios settings = _terminal.Settings;
        change(ref settings);
        _terminal.Configure(settings, flushInput: false);
    }

    private unsafe void Raw(byte minimum, byte time) => Configure((ref termios settings) =>
    {
        settings.c_lflag &= ~(uint)(ICANON | ECHO | ISIG);
        settings.c_cc[VMIN] = minimum;
        settings.c_cc[VTIME] = time;
    });

    [Fact]
    public void A_line_is_readable_when_it_is_complete()
    {
        Type("hello");
        Assert.Null(Read());
        Assert.Equal(PollEvents.None, _terminal.Poll() & PollEvents.In);
        Type("\r");
        Assert.Equal(PollEvents.Readable, _terminal.Poll() & PollEvents.Readable);
        Assert.Equal("hello\n", Read());
        Assert.Null(Read());
        Assert.Equal("hello\r\n", Shown());
    }

    [Fact]
    public void A_read_takes_one_line_and_may_take_it_in_parts()
    {
        Type("one\ntwo\n");
        Assert.Equal("on", Read(2));
        Assert.Equal("e\n", Read());
        Assert.Equal("two\n", Read());
    }

    [Fact]
    public void End_of_file_gives_what_there_is_and_then_nothing()
    {
        Type("abc\x04");
        Assert.Equal("abc", Read());
        Assert.Null(Read());
        Type("\x04");
        Assert.Equal("", Read());
        Assert.Null(Read());
        Type("abc\x04");
        Assert.Equal("abc", Read(3));
        Assert.Null(Read());
    }

    [Theory]
    [InlineData("ab\x7f\x63\n", "ac\n", "ab\b \bc\r\n")]
    [InlineData("\x7fx\n", "x\n", "x\r\n")]
    [InlineData("one two\x17x\n", "one x\n", "one two\b \b\b \b\b \bx\r\n")]
    [InlineData("one  \x17x\n", "x\n", "one  \b \b\b \b\b \b\b \b\b \bx\r\n")]
    [InlineData("abc\x15x\n", "x\n", "abc\b \b\b \b\b \bx\r\n")]
    [InlineData("a\x01\x7f\x62\n", "ab\n", "a^A\b \b\b \bb\r\n")]
    [InlineData("\x16\x03x\n", "\x03x\n", "^\b^Cx\r\n")]
    [InlineData("ab\x12\x63\n", "abc\n", "ab^R\r\nabc\r\n")]
    [InlineData("a\t\x7f\x62\n", "ab\n", "a\t\b\b\b\b\b\b\bb\r\n")]
    public void Editing(string keys, string line, string shown)
    {
        Type(keys);
        Assert.Equal(line, Read());
        Assert.Equal(shown, Shown());
    }

    [Fact]
    public void Erasing_takes_whole_characters_of_utf8()
    {
        Configure((ref termios settings) => settings.c_iflag |= IUTF8);
        Type("a\u00c3\u00a9\x7f\n");
        Assert.Equal("a\n", Read());
        Assert.Equal("a\u00c3\u00a9\b \b\r\n", Shown());
    }

    [Fact]
    public void Without_echo_nothing_is_shown_but_the_newline_if_asked()
    {
        Configure((ref termios settings) => settings.c_lflag &= ~(uint)ECHO);
        Type("secret\n");
        Assert.Equal("", Shown());
        Configure((ref termios settings) => settings.c_lflag |= ECHONL);
        Type("secret\n");
        Assert.Equal("\r\n", Shown());
    }

    [Theory]
    [InlineData(0u, "\r\n", "\r\n")]
    [InlineData((uint)ICRNL, "\r", "\n")]
    [InlineData((uint)IGNCR, "\r\n", "\n")]
    [InlineData((uint)INLCR, "\n\x04", "\r")]
    public void Newlines_on_the_way_in(uint flags, string keys, string line)
    {
        Configure((ref termios settings) => settings.c_iflag = flags);
        Type(keys);
        Assert.Equal(line, Read());
    }

    [Theory]
    [InlineData((uint)(OPOST | ONLCR), "a\nb", "a\r\nb")]
    [InlineData((uint)OPOST, "a\nb", "a\nb")]
    [InlineData(0u, "a\n\tb", "a\n\tb")]
    [InlineData((uint)(OPOST | OCRNL), "a\rb", "a\nb")]
    [InlineData((uint)(OPOST | ONOCR), "\ra\r", "a\r")]
    [InlineData((uint)(OPOST | XTABS), "ab\tc", "ab      c")]
    [InlineData((uint)(OPOST | OLCUC), "ab", "AB")]
    public void Output_processing(uint flags, string printed, string shown)
    {
        Configure((ref termios settings) => settings.c_oflag = flags);
        Assert.Equal(printed.Length, _terminal.Write(Encoding.Latin1.GetBytes(printed)));
        Assert.Equal(shown, Shown());
    }

    [Fact]
    public void Stop_and_start_hold_the_output()
    {
        Type("\x13");
        Assert.Equal(-EAGAIN, _terminal.Write([65]));
        Assert.Equal(PollEvents.None, _terminal.Poll() & PollEvents.Out);
        Type("\x11");
        Assert.Equal(1, _terminal.Write([65]));
        Assert.Equal("A", Shown());
    }

    [Fact]
    public void The_interrupt_key_flushes_and_is_echoed()
    {
        Type("half a line\x03");
        Assert.Equal("^C", Shown());
        Type("x\n");
        Assert.Equal("x\n", Read());
    }

    [Fact]
    public void Raw_reads_wait_for_as_many_as_asked()
    {
        Raw(3, 0);
        Type("ab");
        Assert.Null(Read());
        Assert.Equal(PollEvents.None, _terminal.Poll() & PollEvents.In);
        Assert.Equal("ab", Read(nonBlocking: true));
        Type("abc\x03");
        Assert.Equal("abc\x03", Read());
        Type("xy");
        Assert.Equal("xy", Read(2));
    }

    [Fact]
    public void Raw_reads_with_time_have_deadlines()
    {
        Raw(0, 0);
        Assert.Equal("", Read());
        Raw(0, 5);
        Assert.Null(Read());
        Assert.Equal(1000 + 500_000_000, _terminal.ReadDeadline(1000));
        Raw(2, 5);
        Assert.Equal(Parker.Forever, _terminal.ReadDeadline(1000));
        Type("a");
        long now = HostClock.MonotonicNanoseconds();
        Assert.InRange(_terminal.ReadDeadline(1000), now - 5_000_000_000, now + 500_000_000);
        byte[] buffer = new byte[4];
        Assert.Equal(1, _terminal.ReadTimedOut(buffer));
        Assert.Equal(0, _terminal.ReadTimedOut(buffer));
    }

    [Fact]
    public void Changing_mode_keeps_what_was_typed()
    {
        Type("abc");
        Raw(1, 0);
        Assert.Equal("abc", Read());
        Type("de");
        Configure((ref termios settings) => settings.c_lflag |= ICANON);
        Assert.Equal("de", Read());
        Type("f\n");
        Assert.Equal("f\n", Read());
    }

    [Fact]
    public void A_line_that_never_ends_is_bounded_and_can_still_be_ended()
    {
        for (int i = 0; i < 100; i++)
            Type(new string('x', 1000));
        Type("\n");
        Assert.Equal(TerminalInput.Capacity - 1 + 1, Read(10000)!.Length);
        Type("ok\n");
        Assert.Equal("ok\n", Read());
    }

    [Fact]
    public void Output_is_bounded()
    {
        long total = 0, written;
        while ((written = _terminal.Write(new byte[1000])) > 0)
            total += written;
        Assert.Equal(-EAGAIN, written);
        Assert.InRange(total, 4096, 16384);
        Assert.Equal(PollEvents.None, _terminal.Poll() & PollEvents.Out);
        Shown();
        Assert.Equal(PollEvents.Writable, _terminal.Poll() & PollEvents.Writable);
    }

    [Fact]
    public void After_a_hang_up_reads_end_and_writes_fail()
    {
        Type("left\n");
        _terminal.HangUp();
        Assert.Equal("left\n", Read());
        Assert.Equal("", Read());
        Assert.Equal(-EIO, _terminal.Write([1]));
        Assert.Equal(PollEvents.HangUp, _terminal.Poll() & PollEvents.HangUp);
    }

    [Fact]
    public void Any_bytes_in_any_mode_do_no_harm()
    {
        Random random = new(4);
        byte[] keys = new byte[50], buffer = new byte[500];
        for (int round = 0; round < 20000; round++)
        {
            if (random.Next(20) == 0)
            {
                termios settings = default;
                random.NextBytes(System.Runtime.InteropServices.MemoryMarshal.AsBytes(new Span<termios>(ref settings)));
                _terminal.Configure(settings, random.Next(2) == 0);
            }
            random.NextBytes(keys);
            _terminal.Receive(keys.AsSpan(0, random.Next(keys.Length)));
            long read = _terminal.Read(buffer.AsSpan(0, random.Next(buffer.Length)), random.Next(2) == 0);
            Assert.True(read >= 0 || read == -EAGAIN);
            long written = _terminal.Write(keys);
            Assert.True(written > 0 || written == -EAGAIN);
            Assert.InRange(_terminal.TakeOutput(buffer), 0, buffer.Length);
            Assert.InRange(_terminal.Available, 0, TerminalInput.Capacity);
        }
    }

    [Fact]
    public void An_end_of_file_is_no_byte_that_waits()
    {
        Type("ab\x04\x04");
        Assert.Equal(2, _terminal.Available);
        Assert.Equal("ab", Read());
        Assert.Equal(0, _terminal.Available);
        Assert.Equal("", Read());
    }

    [Fact]
    public void Letters_are_those_of_latin_1()
    {
        Configure((ref termios settings) => settings.c_iflag |= IUCLC);
        Type("A\u00c4\u00d7\r");
        Assert.Equal("a\u00e4\u00d7\n", Read());
        Configure((ref termios settings) =>
        {
            settings.c_iflag &= ~(uint)IUCLC;
            settings.c_oflag |= OLCUC;
        });
        Shown();
        Assert.Equal(3, _terminal.Write([(byte)'a', 0xe4, 0xf7]));
        Assert.Equal("A\u00c4\u00f7", Shown());
        Configure((ref termios settings) => settings.c_oflag &= ~(uint)OLCUC);
        // A word ends where letters and digits do.
        Type("a \u00e4\u00e4\u00f7\x17\r");
        Assert.Equal("a \n", Read());
    }

    [Fact]
    public void The_rest_of_a_character_is_not_erased()
    {
        Configure((ref termios settings) => settings.c_iflag |= IUTF8);
        Type("\u00a4\x7f\x15\x17\r");
        Assert.Equal("\u00a4\n", Read());
    }

    [Fact]
    public unsafe void A_key_that_is_both_takes_a_word_not_the_line()
    {
        Configure((ref termios settings) => settings.c_cc[VKILL] = 23);
        Type("one two\x17\r");
        Assert.Equal("one \n", Read());
    }

    [Fact]
    public void A_tab_is_erased_from_where_the_line_began_whatever_was_printed()
    {
        Type("ab");
        Assert.Equal(3, _terminal.Write([120, 121, 122]));
        Shown();
        Type("\t\x7f");
        Assert.Equal("\t\b\b\b\b\b\b", Shown());
    }

    [Fact]
    public void A_newline_that_is_typed_as_such_is_shown_as_a_control_character()
    {
        Type("\x16\n");
        Assert.Equal("^\b^J", Shown());
        Configure((ref termios settings) => settings.c_lflag &= ~(uint)ICANON);
        Type("\n");
        Assert.Equal("^J", Shown());
        Type("\r");
        Assert.Equal("\r\n", Shown());
    }
}
